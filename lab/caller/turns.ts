/**
 * Turns of something asynchronous.
 *
 *   timed(clock, operations, turn)           one after the other; microseconds each
 *   atOnce(lanes, operations, turn)          so many under way at once, each lane's next when its last is done
 */
import type { Clock } from '#sel4/api'

export type Turn = () => Promise<unknown>

export async function timed(clock: Clock, operations: number, turn: Turn): Promise<number> {
  const began = clock.now()
  for (let i = 0; i < operations; i++) await turn()
  return ((clock.now() - began) * 1000) / operations
}
export async function atOnce(
  lanes: number,
  operations: number,
  turn: (lane: number) => Promise<unknown>,
): Promise<void> {
  let left = operations
  const one = async (_: unknown, lane: number) => {
    while (left-- > 0) await turn(lane)
  }
  await Promise.all(Array.from({ length: lanes }, one))
}
