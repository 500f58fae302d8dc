/**
 * One refresh of `npm run dev`, run by nodemon through ts-node at each change: builds what changed, then kills each
 * running process whose image is new; its restart path brings up the new one. What was done goes to .cache/dev.log.
 */
import fs from 'node:fs'
import path from 'node:path'
import { callControl } from '../control.ts'
import { liveRuns } from '../launcher/run-directory.ts'

const root = path.resolve(__dirname, '..', '..')
const images = path.join(root, 'dist', 'images')
/** Their death is the system's. */
const NEEDS_BOOT = ['kernel', 'executive']

/** dev.mjs makes the folder and prints what was noted when the system has ended: until then the terminal is the panel's. */
const note = (text: string) =>
  fs.appendFileSync(path.join(root, '.cache', 'dev.log'), `${new Date().toISOString()} ${text}\n`)
const times = () => new Map(fs.readdirSync(images).map((name) => [name, fs.statSync(path.join(images, name)).mtimeMs]))
interface Builder {
  build(): Promise<{ broken: readonly { name: string; message: string }[] }>
}

async function refresh(): Promise<void> {
  const before = times()
  // A plain module of Node's: its type is not known here.
  const { build } = (await import(path.join(root, 'tools', 'build.mjs'))) as Builder
  const { broken } = await build()
  for (const { name, message } of broken) note(`${name} does not build: ${message}`)
  const fresh = [...times()]
    .filter(([name, time]) => name.endsWith('.js') && before.get(name) !== time)
    .map(([name]) => name.slice(0, -3))
  const [run] = liveRuns(path.join(images, 'kernel.js'))
  if (run) for (const name of fresh) await restart(run, name)
}
async function restart(run: string, name: string): Promise<void> {
  if (NEEDS_BOOT.includes(name)) return note(`${name} changed: start the system again to use it`)
  try {
    await callControl(run, 'kill', { name, signal: 'SIGKILL' })
    note(`${name} was rebuilt and restarted`)
  } catch (error) {
    note(`${name} was rebuilt; ${(error as Error).message}`)
  }
}
// A file saved meanwhile makes nodemon send this: what was begun is brought to its end, the next refresh sees the rest.
process.on('SIGUSR2', () => {})
void refresh()
