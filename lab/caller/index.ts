/**
 * The calling half of `neptune bench ipc`: runs blocks of calls when the benchmark, outside, asks over a socket.
 *
 *   {"bytes":64,"operations":200}  →  {"us":41.7}
 *
 * config: { socket: the path to connect to }
 */
import net from 'node:net'
import readline from 'node:readline'
import type { Environment, Main } from '#sel4/api'

const LABEL = 0
interface Request {
  readonly bytes: number
  readonly operations: number
}

export const main: Main = async (env) => {
  const socket = net.connect((env.config as { socket: string }).socket)
  for await (const line of readline.createInterface({ input: socket })) {
    const us = await block(env, JSON.parse(line) as Request)
    socket.write(`${JSON.stringify({ us })}\n`)
  }
  env.exit(0)
}
async function block({ sel4, caps, clock }: Environment, { bytes, operations }: Request): Promise<number> {
  const payload = new Uint8Array(bytes).fill(0x5a)
  const began = clock.now()
  for (let i = 0; i < operations; i++) await sel4.call(caps.echo, LABEL, payload)
  return ((clock.now() - began) * 1000) / operations
}
