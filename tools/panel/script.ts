/**
 * Script mode: lines from stdin are typed at the prompt, the screen's rows go to stdout.
 *
 *   runScript(panel)   resolves when the last line was typed and the system has gone, or went before
 *
 * After the last line, or before one that has a character no key prints, `shutdown` is typed, unless the script's own last
 * command ended the system.
 */
import readline from 'node:readline'
import { keysOf, keyless } from './keys.ts'
import type { Monitor } from './monitor.ts'
import { PromptWatch } from './prompt.ts'
import { RowStream } from './rows.ts'
import type { Typist } from './typist.ts'

/** From power-on to the first prompt, and for one command: longer than any honest copy on a slow machine. */
const PROMPT_PATIENCE_MS = 10 * 60_000
const BOOT_PATIENCE_MS = 120_000

export interface ScriptEnds {
  readonly monitor: Pick<Monitor, 'onFrame' | 'until' | 'settle' | 'ended'>
  readonly typist: Pick<Typist, 'type'>
  readonly input: NodeJS.ReadableStream
  print(line: string): void
  say(sentence: string): void
}
export const ALL_TYPED = 'all typed'
/** ALL_TYPED, or a sentence that says what was not typed and why. */
export async function runScript({ monitor, typist, input, print, say }: ScriptEnds): Promise<string> {
  const rows = new RowStream()
  const prompt = new PromptWatch()
  monitor.onFrame((frame) => {
    prompt.take(frame)
    rows.take(frame).forEach(print)
  })
  const outcome = await typeLines(lineTypist({ monitor, typist, prompt }), input)
  if (outcome !== ALL_TYPED) say(outcome)
  await (outcome.startsWith(LATE) ? undefined : monitor.ended)
  rows.finish().forEach(print)
  return outcome
}
export const LATE = 'the prompt did not come within'

/** What became of one line: typed, or a sentence about why not. */
type TypeLine = (line: string) => Promise<'typed' | 'ended' | string>
function lineTypist({
  monitor,
  typist,
  prompt,
}: Pick<ScriptEnds, 'monitor' | 'typist'> & { prompt: PromptWatch }): TypeLine {
  let patience = BOOT_PATIENCE_MS
  return async (line) => {
    const came = await monitor.until(() => prompt.isReady(), patience)
    if (came === 'late') return `${LATE} ${patience / 1000} s, so this was not typed: ${line}`
    if (came === 'ended') return 'ended'
    patience = PROMPT_PATIENCE_MS
    await typist.type(keysOf(line))
    await monitor.settle()
    prompt.typed()
    await typist.type([{ name: 'Enter' }])
    return 'typed'
  }
}
async function typeLines(type: TypeLine, input: NodeJS.ReadableStream): Promise<string> {
  let outcome = ALL_TYPED
  for await (const line of readline.createInterface({ input, terminal: false })) {
    if (line.trim() === '') continue
    outcome = await typeOne(type, line.replaceAll('\t', ' '))
    if (outcome !== ALL_TYPED) break
  }
  if (outcome.startsWith(LATE)) return outcome
  // A script whose own last line ended the system needs no other end.
  const end = await type('shutdown')
  return end === 'typed' || end === 'ended' ? outcome : end
}
/** Left out, a character would make another command of the line. */
async function typeOne(type: TypeLine, line: string): Promise<string> {
  const strange = keyless(line)
  if (strange.length > 0)
    return `the keyboard has no key for ${strange.join(' ')}, so the script ends before this line: ${line}`
  const outcome = await type(line)
  if (outcome === 'ended') return `the system ended before this was typed: ${line}`
  return outcome === 'typed' ? ALL_TYPED : outcome
}
