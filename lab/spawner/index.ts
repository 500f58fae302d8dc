/**
 * The inner half of `neptune bench spawn`, root task of a system of its own: starts children one after the other when the
 * benchmark, outside, asks over a socket. A child is ready when its first call has come.
 *
 *   {"operations":1}  →  {"value":43.4}      milliseconds per child; that it ends and is buried is not counted
 *
 * config: { socket: the path to connect to }
 */
import net from 'node:net'
import readline from 'node:readline'
import type { Environment, Main, RootTask } from '#sel4/api'

/** As much memory as a driver of launch.json has. */
const ARENA_BYTES = 2 << 20

export const main: Main = async (env) => {
  const { root, config } = env
  if (!root) throw new Error('lab-spawner must be the root task of its manifest')
  const nursery = await Nursery.open(env, root)
  const socket = net.connect((config as { socket: string }).socket)
  for await (const line of readline.createInterface({ input: socket })) {
    const { operations } = JSON.parse(line) as { operations: number }
    let sum = 0
    for (let i = 0; i < operations; i++) sum += await nursery.birth()
    socket.write(`${JSON.stringify({ value: sum / operations })}\n`)
  }
  await root.shutdown(0, 'the benchmark has ended')
}

class Nursery {
  private readonly env: Environment
  private readonly root: RootTask
  private readonly endpoint: number
  private buried = () => {}

  private constructor(env: Environment, root: RootTask, endpoint: number) {
    this.env = env
    this.root = root
    this.endpoint = endpoint
    root.onDeath(({ detail, epitaph }) => {
      if (detail === '0') this.buried()
      else void root.shutdown(1, epitaph ?? `a newborn died: ${detail}`)
    })
  }
  static async open(env: Environment, root: RootTask): Promise<Nursery> {
    return new Nursery(env, root, await root.endpoint())
  }
  /** Milliseconds from the request to the child's first call; resolves when the child is gone. */
  async birth(): Promise<number> {
    const { env, root, endpoint } = this
    const gone = new Promise<void>((resolve) => (this.buried = resolve))
    const caps = { spawner: { from: endpoint, rights: ['write', 'grantReply'] as const } }
    const began = env.clock.now()
    await root.spawn({ image: 'lab-newborn', birth: 'fresh', caps, arenaBytes: ARENA_BYTES, config: {} })
    const { reply } = await env.sel4.recv(endpoint)
    const milliseconds = env.clock.now() - began
    if (reply) env.sel4.reply(reply, 0, null)
    await gone
    return milliseconds
  }
}
