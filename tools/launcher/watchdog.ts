/**
 * What is left when the launcher itself is killed with SIGKILL: a shell of a few lines that waits for the launcher's end
 * of a pipe to close. The kernel hears of it the same way and stops the system; the watchdog gives it that time, then
 * ends what remains, puts the terminal's modes back and removes the run directory.
 *
 * Told 'done' by a launcher that ended well, it just ends. A shell and not Node: it is idle all its life, and costs 1 MB.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'

/** $1 the run directory, $2 the kernel's pid and $3 its start time, $4 the terminal's saved modes or nothing. */
const SCRIPT = `
read -r word && [ "$word" = done ] && exit 0
began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
  [ "$(began "$2")" = "$3" ] || break
  sleep 0.5
done
[ "$(began "$2")" = "$3" ] && kill -KILL "$2"
sleep 0.2
[ -n "$4" ] && stty "$4" </dev/tty && printf '\\033[0m\\033[?1049l\\033[?25h' >/dev/tty
rm -rf -- "$1"
`

export interface Watchdog {
  /** Everything is cleaned up: the watchdog need not. */
  dismiss(): Promise<void>
}
export function startWatchdog(run: string, kernel: { pid: number; startTime: number }): Watchdog {
  const words = [run, String(kernel.pid), String(kernel.startTime), terminalModes()]
  // In the launcher's session, so that /dev/tty still means its terminal; signals of the keyboard are not for it.
  const shell = spawn('sh', ['-c', `trap '' INT HUP TERM QUIT\n${SCRIPT}`, 'neptune-watchdog', ...words], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.on('error', () => {})
  shell.stdin?.on('error', () => {})
  shell.unref()
  return { dismiss: () => dismiss(shell) }
}
/** stty's own compact form; empty when stdin is no terminal. */
function terminalModes(): string {
  if (!process.stdin.isTTY) return ''
  return spawnSync('stty', ['-g'], { stdio: ['inherit', 'pipe', 'ignore'], encoding: 'utf8' }).stdout?.trim() ?? ''
}
function dismiss(shell: ChildProcess): Promise<void> {
  if (shell.exitCode !== null || !shell.stdin) return Promise.resolve()
  shell.ref()
  return new Promise((resolve) => {
    shell.once('exit', () => resolve())
    shell.stdin?.end('done\n')
  })
}
