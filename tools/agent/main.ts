/**
 * The agent of one container: waits for the kernel to tell it which image to start, starts it, reports its end, waits again.
 *
 *   node agent.js RUN NAME
 *
 * Knows nothing of capabilities: what its process may do comes with the token in the environment that the kernel sends.
 * Ends when the kernel's socket closes, and its process with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import net from 'node:net'
import path from 'node:path'
import readline from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** The kernel's container may start after this one. */
const RETRY_MS = 100
const PATIENCE_MS = 60_000

type Order =
  | { readonly op: 'spawn'; readonly image: string; readonly env: Record<string, string> }
  | { readonly op: 'kill'; readonly signal: NodeJS.Signals }

async function connect(address: string): Promise<net.Socket> {
  for (const limit = Date.now() + PATIENCE_MS; ; await sleep(RETRY_MS)) {
    const socket = await tryConnect(address)
    if (socket) return socket
    if (Date.now() > limit) throw new Error(`the kernel's socket ${address} did not appear`)
  }
}
function tryConnect(address: string): Promise<net.Socket | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(address)
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}

async function main(run: string, name: string): Promise<void> {
  const socket = await connect(path.join(run, 'agents', name))
  const tell = (report: object) => socket.writable && socket.write(`${JSON.stringify(report)}\n`)
  let child: ChildProcess | undefined
  const start = (image: string, env: Record<string, string>) => {
    const started = spawn(process.execPath, [path.join(__dirname, `${path.basename(image)}.js`)], {
      stdio: 'inherit',
      env: { ...process.env, ...env },
    })
    child = started
    started.once('spawn', () => tell({ op: 'started', pid: started.pid }))
    started.once('error', () => tell({ op: 'exit', code: 127, signal: null }))
    started.once('exit', (code, signal) => tell({ op: 'exit', code, signal }))
  }
  socket.on('error', () => socket.destroy())
  const end = () => {
    child?.kill('SIGKILL')
    process.exit(0)
  }
  socket.on('close', end)
  process.on('SIGTERM', end)
  for await (const line of readline.createInterface({ input: socket })) {
    const order = JSON.parse(line) as Order
    if (order.op === 'spawn') start(order.image, order.env)
    else child?.kill(order.signal)
  }
}
const [run, name] = process.argv.slice(2)
main(run, name).catch((error: Error) => {
  process.stderr.write(`agent ${name}: ${error.message}\n`)
  process.exitCode = 1
})
