/** mulberry32: small, seedable, the same everywhere; good enough for experiments and test data, for secrets it is not. */
export function seededRandom(seed: number): { next(): number } {
  let state = seed >>> 0
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0
      let t = state
      t = Math.imul(t ^ (t >>> 15), t | 1)
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
      return (t ^ (t >>> 14)) >>> 0
    },
  }
}
