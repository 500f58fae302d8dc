/**
 * Two processes under a real kernel, for a benchmark that asks them from outside:
 *
 *   bench ──socket──► lab-caller ──endpoint──► lab-echo
 *
 *   const pair = await startPair({ slowpath: false }, say)
 *   await pair.ask({ work: 'call', bytes: 64, operations: 60 })      one block
 *   await pair.end()
 */
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { launch } from '../../tools/launcher/launch.ts'
import type { Say } from './index.ts'
import type { Block } from './ratio.ts'

export interface Pair {
  /** A block's answer, as lab-caller gives it. */
  ask<T = { value: number }>(request: object): Promise<T>
  /** A block of `operations`, by its value. */
  block(request: object): Block
  end(): Promise<void>
}
/** Room for ten thousand descendants, and for a MiB in pages beside its tables. */
const manifest = (socket: string) => ({
  machine: 'pc',
  banks: { lab: { bytes: '16 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'lab-echo', banks: ['lab'], config: { socket } },
  images: { 'lab-caller': { image: 'lab-caller', arena: '2 MiB', bank: 'lab' } },
})

export async function startPair({ slowpath }: { slowpath: boolean }, say: Say): Promise<Pair> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-pair-'))
  const address = path.join(folder, 'bench')
  fs.writeFileSync(path.join(folder, 'launch.json'), JSON.stringify(manifest(address)))
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(address, resolve))
  const caller = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const plan = {
    kernelImage: path.join(__dirname, 'kernel.js'),
    manifest: path.join(folder, 'launch.json'),
    slowpath,
    say,
  }
  const system = launch(plan)
  const socket = await Promise.race([
    caller,
    system.then((code) => Promise.reject(new Error(`the kernel ended with ${code}`))),
  ])
  const lines = readline.createInterface({ input: socket })[Symbol.asyncIterator]()
  const ask = async <T = { value: number }>(request: object): Promise<T> => {
    socket.write(`${JSON.stringify(request)}\n`)
    const line = await lines.next()
    if (line.done) throw new Error('the calling process ended')
    return JSON.parse(line.value) as T
  }
  const end = async () => {
    socket.end()
    server.close()
    await system
    fs.rmSync(folder, { recursive: true, force: true })
  }
  return { ask, block: (request) => async (operations) => (await ask({ ...request, operations })).value, end }
}
