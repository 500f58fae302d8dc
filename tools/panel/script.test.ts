import { expect } from 'chai'
import { Readable } from 'node:stream'
import type { Key } from './keys.ts'
import { ALL_TYPED, runScript } from './script.ts'

/** A system that is at its prompt whenever it is asked, and ends when shutdown was typed. */
async function typed(script: string): Promise<{ lines: string[]; outcome: string; said: string[] }> {
  let text = ''
  const said: string[] = []
  const type = async (keys: readonly Key[]) => {
    text += keys.map(({ name }) => (name === 'Enter' ? '\n' : name)).join('')
  }
  const monitor = {
    ended: Promise.resolve(),
    onFrame: () => () => true,
    until: async () => 'yes' as const,
    settle: async () => undefined,
  }
  const say = (sentence: string) => void said.push(sentence)
  const outcome = await runScript({ monitor, typist: { type }, input: Readable.from([script]), print: () => {}, say })
  return { lines: text.split('\n').slice(0, -1), outcome, said }
}

describe('panel: script', () => {
  it('types each line that is not blank, then shutdown', async () => {
    const { lines, outcome, said } = await typed('dir\r\n\n  \ncopy a b')
    expect(lines).deep.equal(['dir', 'copy a b', 'shutdown'])
    expect(outcome).equal(ALL_TYPED)
    expect(said).deep.equal([])
  })
  it('types no other line instead of one the keyboard has no key for, and none after it', async () => {
    const { lines, outcome, said } = await typed('dir\ndel äöä*\ndir\n')
    expect(lines).deep.equal(['dir', 'shutdown'])
    expect(outcome).equal('the keyboard has no key for ä ö, so the script ends before this line: del äöä*')
    expect(said).deep.equal([outcome])
  })
  it('takes a tab for a blank', async () => {
    expect((await typed('copy\ta\tb\n')).lines).deep.equal(['copy a b', 'shutdown'])
  })
})
