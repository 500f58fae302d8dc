/**
 * A system whose processes are the laboratory's own: booted with a manifest of the benchmark's, and asked for blocks over
 * a socket to which one of them connects (its config names it).
 *
 *   startLab(manifest, options)   resolves when it has connected; `ask` sends an object and resolves with the answer
 */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import readline from 'node:readline'
import { launch } from '../../tools/launcher/launch.ts'
import { makeScratch } from '../../tools/scratch.ts'
import type { Say } from './index.ts'

export interface LabSystem {
  /** A block's answer, as the process gives it. */
  ask<T = { value: number }>(block: object): Promise<T>
  end(): Promise<void>
}
export interface LabOptions {
  readonly slowpath?: boolean
  readonly say: Say
}
export async function startLab(manifest: (socket: string) => object, options: LabOptions): Promise<LabSystem> {
  const folder = makeScratch('lab')
  const address = path.join(folder, 'bench')
  fs.writeFileSync(path.join(folder, 'launch.json'), JSON.stringify(manifest(address)))
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(address, resolve))
  const connected = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const system = launch({
    kernelImage: path.join(__dirname, 'kernel.js'),
    manifest: path.join(folder, 'launch.json'),
    ...options,
  })
  const socket = await Promise.race([
    connected,
    system.then((code) => Promise.reject(new Error(`the kernel ended with ${code}`))),
  ])
  const lines = readline.createInterface({ input: socket })[Symbol.asyncIterator]()
  const ask = async <T = { value: number }>(block: object): Promise<T> => {
    socket.write(`${JSON.stringify(block)}\n`)
    const line = await lines.next()
    if (line.done) throw new Error('the measured process ended')
    return JSON.parse(line.value) as T
  }
  const end = async () => {
    socket.end()
    server.close()
    await system
    fs.rmSync(folder, { recursive: true, force: true })
  }
  return { ask, end }
}
