/**
 * The bare sides: processes joined by zeromq.js with nothing of ours between.
 *
 *   bareEcho(bytes)    a DEALER here, a ROUTER in another process
 *   bareUnix(bytes)    a unix socket between the two, without zeromq
 *   bareRing(hops, bytes)   a message through `hops` sockets and processes back to here, msgpack at each hop
 *   openNursery()           a process that starts others which do nothing, and tells how long that took
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import readline from 'node:readline'
import type { Readable } from 'node:stream'
import { pack, unpack } from 'msgpackr'
import { Dealer, Pull, Push } from 'zeromq'
import { makeScratch } from '../../tools/scratch.ts'
import type { Block } from './ratio.ts'

export interface Bare {
  readonly block: Block
  end(): Promise<void>
}
/**
 * What no image loads is no part of the comparison either: a user's certificates, whose parsing takes 40 ms, and msgpackr's
 * string extractor, which takes 5.
 */
const BARE_ENV = { ...process.env, MSGPACKR_NATIVE_ACCELERATION_DISABLED: 'true', NODE_EXTRA_CA_CERTS: undefined }
const OPTIONS = { sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 0 }

/** Trimmed and started from compiled code, as images are (ADR 12). */
const BARE = path.join(__dirname, 'lab-bare.js')
/**
 * The same program as the bundler alone makes it: its native packages load as they were published, and Node compiles it.
 * `end` removes it. It lies where its packages are found.
 */
export function plainBare(): { readonly program: string; end(): void } {
  const { codeOf } = require(path.join(__dirname, 'loader.cjs')) as { codeOf(bytes: Buffer): string }
  const program = path.join(__dirname, `lab-bare-plain-${process.pid}.js`)
  fs.writeFileSync(program, codeOf(fs.readFileSync(path.join(__dirname, 'lab-bare-plain.image'))))
  return { program, end: () => fs.rmSync(program, { force: true }) }
}

async function start(options: SpawnOptions, program: string, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: BARE_ENV,
    ...options,
  })
  await new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve)
    child.once('exit', () => reject(new Error('a bare process did not start')))
  })
  return child
}
/** Starts bare processes that have loaded the libraries of an image and wait. */
export interface Nursery {
  start(count: number): Promise<{ readonly milliseconds: number; readonly pids: readonly number[] }>
  /** Ends those that were started. */
  clear(): Promise<void>
  /** Milliseconds until the last of so many is ready; they are ended then. */
  time(count: number): Promise<number>
  end(): Promise<unknown>
}
/** In a session of its own, as the kernel is: some hosts share out their processors by session. */
export async function openNursery(program = BARE): Promise<Nursery> {
  const parent = await start({ detached: true }, program, 'parent')
  const lines = readline.createInterface({ input: parent.stdout as Readable })[Symbol.asyncIterator]()
  const ask = async (count: number) => {
    parent.stdin?.write(`${count}\n`)
    const line = await lines.next()
    if (line.done) throw new Error('the bare parent ended')
    return JSON.parse(line.value) as { milliseconds: number; pids: number[] }
  }
  const clear = async () => void (await ask(0))
  const time = async (count: number) => {
    const { milliseconds } = await ask(count)
    await clear()
    return milliseconds
  }
  return { start: ask, clear, time, end: () => ended([parent]) }
}
function ended(children: readonly ChildProcess[]): Promise<unknown> {
  const gone = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) child.stdin?.end()
  return Promise.all(gone)
}
async function stop(children: readonly ChildProcess[], folder: string): Promise<void> {
  await ended(children)
  fs.rmSync(folder, { recursive: true, force: true })
}
const scratch = () => makeScratch('bare')
/** Microseconds per turn of `turn`. */
export async function timed(operations: number, turn: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  for (let i = 0; i < operations; i++) await turn()
  return ((performance.now() - began) * 1000) / operations
}

export interface BareEcho extends Bare {
  /** Requests in a second with as many under way; the clock starts when as many have been answered. */
  window(outstanding: number): Block
}
export async function bareEcho(bytes: number): Promise<BareEcho> {
  const folder = scratch()
  const address = `ipc://${folder}/echo`
  const child = await start({}, BARE, 'echo', address)
  const dealer = new Dealer(OPTIONS)
  dealer.connect(address)
  const payload = Buffer.alloc(bytes, 0x5a)
  const turn = async () => {
    await dealer.send(payload)
    await dealer.receive()
  }
  const end = async () => {
    dealer.close()
    await stop([child], folder)
  }
  const window = (outstanding: number) => async (operations: number) => {
    let began = 0
    for (let sent = 0; sent < outstanding; sent++) await dealer.send(payload)
    for (let left = outstanding + operations; left > 0; left--) {
      if (left === operations) began = performance.now()
      await dealer.receive()
      if (left > outstanding) await dealer.send(payload)
    }
    return (operations / (performance.now() - began)) * 1000
  }
  return { block: (operations) => timed(operations, turn), window, end }
}
export async function bareUnix(bytes: number): Promise<Bare> {
  const folder = scratch()
  const address = `${folder}/echo`
  const child = await start({}, BARE, 'unix', address)
  const socket = net.connect(address)
  const payload = Buffer.alloc(bytes, 0x5a)
  let got = 0
  let wake = () => {}
  socket.on('data', (data) => {
    got += data.length
    if (got >= bytes) wake()
  })
  const turn = () =>
    new Promise<void>((resolve) => {
      got = 0
      wake = resolve
      socket.write(payload)
    })
  const end = async () => {
    socket.destroy()
    await stop([child], folder)
  }
  return { block: (operations) => timed(operations, turn), end }
}

export async function bareRing(hops: number, bytes: number): Promise<Bare> {
  const folder = scratch()
  const address = (i: number) => `ipc://${folder}/${i % hops}`
  const pull = new Pull({ receiveHighWaterMark: 0, linger: 0 })
  await pull.bind(address(0))
  const children = await Promise.all(
    Array.from({ length: hops - 1 }, (_, i) => start({}, BARE, 'ring', address(i + 1), address(i + 2))),
  )
  const push = new Push({ sendHighWaterMark: 0, linger: 0 })
  push.connect(address(1))
  const message = [3, 1, 0x1234, [0, 4096, 7], bytes, 'read']
  const turn = async () => {
    await push.send(pack(message))
    unpack((await pull.receive())[0])
  }
  const end = async () => {
    pull.close()
    push.close()
    await stop(children, folder)
  }
  return { block: (operations) => timed(operations, turn), end }
}
