/**
 * Areas of the arena handed to lab-echo, which reads one byte of each page:
 *
 *   pages      the run is named, as an MDL names it: both sides have the arena mapped
 *   messages   every page inside a message, as a batch of IO packets carries them; an area's messages go together
 *
 * Each lane hands over an area of its own. What was read is checked, so that nothing is faster for having read something else.
 */
import type { Environment } from '#sel4/api'
import { type HasRead, LABEL, monotonic } from '../echo/labels.ts'
import { atOnce } from './turns.ts'

const PAGE = 4096
/** Pages in one message at most: MESSAGE_MAX of lib/sel4/wire.ts is made for as many IO packets. */
const BATCH = 128

export interface Handover {
  readonly how: keyof typeof HOW
  /** Of an area. */
  readonly bytes: number
  readonly operations: number
  /** Areas under way at once. */
  readonly outstanding: number
}
/** Microseconds. */
export interface Handed {
  /** Of the whole, by their number. */
  readonly each: number
  /** From the sender's send until the receiver has read the last page. */
  readonly oneWay: number
}
type Hand = (area: number) => Promise<readonly HasRead[]>

function naming({ sel4, caps }: Environment, { bytes }: Handover): Hand {
  const pages = bytes / PAGE
  return async (area) => [(await sel4.call(caps.echo, LABEL.pages, [area * pages, pages])).body as HasRead]
}
function insideMessages({ sel4, caps, arena }: Environment, { bytes, outstanding }: Handover): Hand {
  const pages = bytes / PAGE
  const page = (number: number) => arena?.bytes.subarray(number * PAGE, (number + 1) * PAGE)
  const batch = (first: number) => Array.from({ length: BATCH }, (_, i) => page(first + i))
  const batchesOf = (_: unknown, area: number) =>
    Array.from({ length: pages / BATCH }, (_one, i) => batch(area * pages + i * BATCH))
  const areas = Array.from({ length: outstanding }, batchesOf)
  const send = async (pagesOfIt: unknown) => (await sel4.call(caps.echo, LABEL.pageBytes, pagesOfIt)).body as HasRead
  return (area) => Promise.all(areas[area].map(send))
}
const HOW = { pages: naming, messages: insideMessages }

export async function handOver(env: Environment, request: Handover): Promise<Handed> {
  const { how, bytes, operations, outstanding } = request
  const { arena, clock } = env
  if (!arena || arena.length < bytes * outstanding) throw new Error('lab-caller has no arena for that')
  for (let area = 0; area < outstanding; area++) arena.bytes.fill(area + 1, area * bytes, (area + 1) * bytes)
  const hand = HOW[how](env, request)
  let waited = 0
  const began = clock.now()
  await atOnce(outstanding, operations, async (area) => {
    const sent = monotonic()
    const read = await hand(area)
    waited += Math.max(...read.map(([, at]) => at)) - sent
    const sum = read.reduce((all, [one]) => all + one, 0)
    if (sum !== (area + 1) * (bytes / PAGE)) throw new Error(`of area ${area} ${sum} was read`)
  })
  return { each: ((clock.now() - began) * 1000) / operations, oneWay: waited / operations }
}
