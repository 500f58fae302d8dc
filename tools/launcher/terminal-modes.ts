/**
 * The terminal as it was before: its line discipline, saved at start and put back whatever happened to the front panel.
 *
 *   saveTerminal()   undefined when stdin is no terminal
 *   restore()        puts the modes back; when they had changed, also leaves the alternate screen and shows the cursor
 */
import koffi from 'koffi'

/** sizeof(struct termios) of glibc is 60 bytes on both x86-64 and arm64; room to spare. */
const TERMIOS_BYTES = 64
const TCSANOW = 0
const LEAVE_ALTERNATE_SCREEN = '\x1b[0m\x1b[?1049l\x1b[?25h'

export interface SavedTerminal {
  restore(): void
}
export function saveTerminal(): SavedTerminal | undefined {
  if (!process.stdin.isTTY) return undefined
  const libc = koffi.load('libc.so.6')
  const tcgetattr = libc.func('int tcgetattr(int fd, _Out_ uint8_t *termios)')
  const tcsetattr = libc.func('int tcsetattr(int fd, int actions, uint8_t *termios)')
  const read = () => {
    const modes = new Uint8Array(TERMIOS_BYTES)
    return tcgetattr(0, modes) === 0 ? modes : undefined
  }
  const saved = read()
  if (!saved) return undefined
  return { restore: () => restore(saved, read(), (modes) => tcsetattr(0, TCSANOW, modes)) }
}
function restore(saved: Uint8Array, now: Uint8Array | undefined, set: (modes: Uint8Array) => void): void {
  if (!now || Buffer.compare(saved, now) === 0) return
  set(saved)
  if (process.stdout.isTTY) process.stdout.write(LEAVE_ALTERNATE_SCREEN)
}
