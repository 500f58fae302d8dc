/**
 * Terminal mode: the picture in the terminal's alternate screen, its keys to the keyboard cable.
 *
 *   runTerminal(panel)   resolves when the system has gone; the last picture is left in the normal screen
 *
 * Ctrl-C asks for an orderly stop, a second one ends the system at once: the only key that does not go to the machine.
 */
import type { ReadStream, WriteStream } from 'node:tty'
import { type Key, TerminalKeys } from './keys.ts'
import type { Monitor } from './monitor.ts'
import { Painter, type Screen } from './paint.ts'
import { trimmed } from './rows.ts'
import type { Typist } from './typist.ts'

const ENTER_ALTERNATE = '\x1b[?1049h\x1b[2J'
const LEAVE_ALTERNATE = '\x1b[0m\x1b[?1049l\x1b[?25h'
/** A lone ESC byte is the Escape key when nothing follows it for so long. */
const ESCAPE_MS = 40
/** Keys waiting for a keyboard that is disabled; a cat on the keyboard is not worth more. */
const MOST_WAITING = 1000

export interface TerminalEnds {
  readonly monitor: Monitor
  readonly typist: Typist
  readonly input: ReadStream
  readonly output: WriteStream
  /** The first Ctrl-C, and the second. */
  stop(now: boolean): void
}

export async function runTerminal(ends: TerminalEnds): Promise<void> {
  const { monitor, output } = ends
  let painter = painterOf(output)
  let screen: Screen | undefined
  const paint = () => screen && output.write(painter.paint(screen))
  output.write(ENTER_ALTERNATE)
  const keys = readKeys(ends)
  const resized = watchSize(output, () => {
    painter = painterOf(output)
    output.write('\x1b[2J')
    paint()
  })
  monitor.onFrame((frame) => {
    screen = frame.screen
    paint()
  })
  await monitor.ended
  resized.end()
  keys.end()
  output.write(LEAVE_ALTERNATE + finalText(screen))
}
const painterOf = (output: WriteStream) => new Painter(output.columns || 80, output.rows || 25)
const finalText = (screen: Screen | undefined) => {
  const rows = (screen?.rows ?? []).map(trimmed)
  while (rows.length > 0 && rows[rows.length - 1] === '') rows.pop()
  return rows.map((row) => `${row}\n`).join('')
}

/** The size is looked at now and then: this process is in a session of its own and gets no SIGWINCH. */
const SIZE_MS = 500
function watchSize(output: WriteStream, changed: () => void): { end(): void } {
  let before = `${output.columns}x${output.rows}`
  const look = () => {
    ;(output as WriteStream & { _refreshSize?(): void })._refreshSize?.()
    const now = `${output.columns}x${output.rows}`
    if (now !== before) changed()
    before = now
  }
  const timer = setInterval(look, SIZE_MS)
  return { end: () => clearInterval(timer) }
}

function readKeys({ input, typist, stop }: TerminalEnds): { end(): void } {
  const decoder = new TerminalKeys()
  let waiting = 0
  let stops = 0
  let lone: NodeJS.Timeout | undefined
  const send = (keys: readonly Key[]) => {
    for (const key of keys) {
      if (key.ctrl && key.name === 'c') stop(++stops > 1)
      else if (waiting < MOST_WAITING) {
        waiting++
        void typist.type([key]).finally(() => waiting--)
      }
    }
  }
  const onData = (data: Buffer) => {
    clearTimeout(lone)
    send(decoder.read(data.toString()))
    lone = setTimeout(() => send(decoder.settle()), ESCAPE_MS)
  }
  input.setRawMode(true)
  input.on('data', onData)
  const end = () => {
    clearTimeout(lone)
    input.removeListener('data', onData)
    input.setRawMode(false)
    input.pause()
  }
  return { end }
}
