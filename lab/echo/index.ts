/**
 * The answering half of `neptune bench ipc`, `bulk` and `revoke`, root task of a system of its own: starts the caller and does
 * what each message's label asks for, until the caller has ended.
 *
 *   echo        gives the message back as it came
 *   pages       reads one byte of each page named, of the memory it shares with the caller
 *   page bytes  reads one byte of each page that is inside the message
 *   accessor    moves bytes through the accessor of program-visible memory, or as a raw view: accessor.ts
 *   grow, cut   makes a capability with many descendants, revokes it: tree.ts
 */
import type { Environment, Main } from '#sel4/api'
import { Accessor, type Job } from './accessor.ts'
import { type HasRead, LABEL, monotonic } from './labels.ts'
import { Tree } from './tree.ts'

const PAGE = 4096
/** As much as is handed over at once. */
const ARENA_BYTES = 8 << 20

type Answer = (body: unknown) => unknown
function answers(env: Environment, shared: Uint8Array): Readonly<Record<number, Answer>> {
  const accessor = new Accessor(env)
  const tree = new Tree(env)
  return {
    [LABEL.pages]: (body) => onePerPage(shared, body as [number, number]),
    [LABEL.pageBytes]: (body) => hasRead((body as Uint8Array[]).reduce((sum, page) => sum + page[0], 0)),
    [LABEL.accessor]: (body) => accessor.run(body as Job),
    [LABEL.grow]: (body) => tree.grow(body as number),
    [LABEL.cut]: () => tree.cut(),
  }
}
/** A run of pages: its first page and how many there are, as an MDL names them. */
function onePerPage(bytes: Uint8Array, [first, count]: readonly [number, number]): HasRead {
  let sum = 0
  for (let page = first; page < first + count; page++) sum += bytes[page * PAGE]
  return hasRead(sum)
}
const hasRead = (sum: number): HasRead => [sum, monotonic()]

export const main: Main = async (env) => {
  const { sel4, root, config } = env
  if (!root) throw new Error('lab-echo must be the root task of its manifest')
  const echo = await root.endpoint()
  root.onDeath(({ detail, epitaph }) => void root.shutdown(detail === '0' ? 0 : 1, epitaph ?? 'the caller has ended'))
  const caps = { echo: { from: echo, rights: ['write', 'grantReply'] as const } }
  const request = { image: 'lab-caller', birth: 'fresh', caps, arenaBytes: ARENA_BYTES, config } as const
  const { arena } = await root.spawn(request)
  const table = answers(env, arena?.bytes ?? new Uint8Array())
  for (;;) {
    const { reply, label, body } = await sel4.recv(echo)
    if (!reply) continue
    const answer = table[label]
    if (!answer) sel4.reply(reply, label, body)
    else void Promise.resolve(answer(body)).then((result) => sel4.reply(reply, 0, result), env.exit.bind(env, 1))
  }
}
