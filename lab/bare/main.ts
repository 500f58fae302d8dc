/**
 * A bare Node process with the libraries every image loads at its start: what starting as many processes costs at the very least.
 *
 *   node lab-bare.js              loads them, prints a line, ends with its stdin
 *   node lab-bare.js echo SOCKET       a bare ROUTER that answers every message with the same bytes
 *   node lab-bare.js unix SOCKET       a unix socket that gives every byte back
 *   node lab-bare.js ring IN OUT       takes a msgpack message from IN, decodes, encodes and sends it on to OUT
 *   node lab-bare.js parent            a number on stdin starts as many of the first kind; when all are ready it prints
 *                                      {"milliseconds","pids"}; a 0 ends them, which it says as well
 */
import type { ChildProcess } from 'node:child_process'
import { writeSync } from 'node:fs'
import koffi from 'koffi'
import { pack, unpack } from 'msgpackr'
import { Pull, Push, Router } from 'zeromq'

/** The same socket options that both sides of the comparison have: no limit, no lingering. */
const OPTIONS = { sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 0 }

async function echo(address: string): Promise<void> {
  const router = new Router(OPTIONS)
  await router.bind(address)
  ready()
  for await (const parts of router) await router.send(parts)
}
/** What only some of these need is loaded by them: the plain one is to be as quick as it can. */
const netModule = () => require('node:net') as typeof import('node:net')
const readlineModule = () => require('node:readline') as typeof import('node:readline')
const childModule = () => require('node:child_process') as typeof import('node:child_process')

function unix(address: string): void {
  netModule()
    .createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(address, ready)
}
async function ring(from: string, to: string): Promise<void> {
  const pull = new Pull({ receiveHighWaterMark: 0, linger: 0 })
  const push = new Push({ sendHighWaterMark: 0, linger: 0 })
  await pull.bind(from)
  push.connect(to)
  ready()
  for await (const [message] of pull) await push.send(pack(unpack(message)))
}
async function parent(): Promise<void> {
  const children: ChildProcess[] = []
  ready()
  for await (const line of readlineModule().createInterface({ input: process.stdin })) {
    const began = performance.now()
    if (line === '0') await Promise.all(children.splice(0).map(ended))
    else children.push(...(await Promise.all(Array.from({ length: Number(line) }, started))))
    const milliseconds = performance.now() - began
    writeSync(1, `${JSON.stringify({ milliseconds, pids: children.map(({ pid }) => pid) })}\n`)
  }
}
async function started(): Promise<ChildProcess> {
  const child = childModule().spawn(process.execPath, [process.argv[1]], { stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return child
}
function ended(child: ChildProcess): Promise<unknown> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.stdin?.end()
  return gone
}
function ready(): void {
  // Not process.stdout: making that stream takes longer than loading these libraries.
  writeSync(1, 'ready\n')
  process.stdin.on('end', () => process.exit(0)).resume()
}

const [mode, ...addresses] = process.argv.slice(2)
if (mode === 'echo') void echo(addresses[0])
else if (mode === 'unix') unix(addresses[0])
else if (mode === 'parent') void parent()
else if (mode === 'ring') void ring(addresses[0], addresses[1])
else if (koffi.load !== undefined && unpack(pack(1)) === 1) ready()
