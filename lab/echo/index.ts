/**
 * The answering half of `neptune bench ipc`, root task of a system of its own: starts the caller and gives every message
 * back as it came, until the caller has ended.
 */
import type { Main } from '#sel4/api'

export const main: Main = async ({ sel4, root, config }) => {
  if (!root) throw new Error('lab-echo must be the root task of its manifest')
  const echo = await root.endpoint()
  root.onDeath(({ detail, epitaph }) => void root.shutdown(detail === '0' ? 0 : 1, epitaph ?? 'the caller has ended'))
  const caps = { echo: { from: echo, rights: ['write', 'grantReply'] as const } }
  await root.spawn({ image: 'lab-caller', birth: 'fresh', caps, arenaBytes: 0, config })
  for (;;) {
    const { reply, label, body } = await sel4.recv(echo)
    if (reply) sel4.reply(reply, label, body)
  }
}
