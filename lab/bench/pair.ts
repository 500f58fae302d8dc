/**
 * Two processes under a real kernel, for a benchmark that asks them from outside:
 *
 *   bench ──socket──► lab-caller ──endpoint──► lab-echo
 *
 *   const pair = await startPair({ slowpath: false }, say)
 *   await pair.ask({ work: 'call', bytes: 64, operations: 60 })      one block
 *   await pair.end()
 */
import type { Say } from './index.ts'
import { type LabSystem, startLab } from './lab-system.ts'
import type { Block } from './ratio.ts'

export interface Pair extends LabSystem {
  /** A block of `operations`, by its value. */
  block(request: object): Block
}
/** Room for ten thousand descendants, for large and small pages, and for the arena that is handed over. */
const manifest = (socket: string) => ({
  machine: 'pc',
  banks: { lab: { bytes: '24 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'lab-echo', banks: ['lab'], config: { socket } },
  images: { 'lab-caller': { image: 'lab-caller', arena: '8 MiB', bank: 'lab' } },
})

export async function startPair({ slowpath }: { slowpath: boolean }, say: Say): Promise<Pair> {
  const { ask, end } = await startLab(manifest, { slowpath, say })
  return { ask, block: (request) => async (operations) => (await ask({ ...request, operations })).value, end }
}
