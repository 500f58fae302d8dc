/** A keystroke comes from the keyboard's cable, as scancodes, by interrupt 1, or not at all; and nobody else could send one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { callControl } from '../../tools/control.ts'
import { bootSystem, endAllSystems, type System } from '../support/system.ts'

const KEYBOARD_IRQ = 1
/** A typed line is on the screen after a fiftieth of this. */
const LONG_ENOUGH_MS = 1500

interface Held {
  readonly process: string
  readonly caps: readonly {
    readonly name: string | null
    readonly type: string
    readonly object: string
    readonly rights: string
  }[]
}

describe('the keyboard', function () {
  this.timeout(120_000)
  let system: System
  before(async () => {
    system = await bootSystem()
  })
  after(endAllSystems)

  it('says nothing while its interrupt is masked, and all of it afterwards', async () => {
    await callControl(system.run, 'maskIrq', { irq: KEYBOARD_IRQ, masked: true })
    const from = system.screen().length
    const answer = system.enter('cd')
    await sleep(LONG_ENOUGH_MS)
    expect(system.screen().slice(from)).equal('')
    await callControl(system.run, 'maskIrq', { irq: KEYBOARD_IRQ, masked: false })
    expect(await answer).equal('C:\\')
  })
  it('has one who may press it and one who may hear it', async () => {
    const all = (await callControl(system.run, 'caps')) as Held[]
    const holders = (wanted: (cap: Held['caps'][number]) => boolean) =>
      all.filter(({ caps }) => caps.some(wanted)).map(({ process }) => process)
    expect(holders(({ name }) => name === 'keyboard').sort()).deep.equal(['i8042', 'panel'])
    expect(
      holders(({ type, object }) => /irq/i.test(type) && /^IRQ 1\b/i.test(object)).filter(
        (name) => name !== 'executive',
      ),
    ).deep.equal(['i8042prt'])
    expect(
      holders(({ type, object }) => /port/i.test(type) && /0x60\b/i.test(object)).filter(
        (name) => name !== 'executive',
      ),
    ).deep.equal(['i8042prt'])
    expect(holders(({ name }) => name === 'monitor').sort()).deep.equal(['display', 'panel'])
  })
})
