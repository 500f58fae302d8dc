/** Sets of byte ranges, [from, to). */

export interface Range {
  readonly from: number
  readonly to: number
}
export interface ByteRange extends Range {
  readonly phase: number
}

/** What is left of a range without another. */
export function subtract<R extends Range>(range: R, hole: Range): R[] {
  if (hole.to <= range.from || hole.from >= range.to) return [range]
  const parts = [
    { ...range, to: Math.min(range.to, hole.from) },
    { ...range, from: Math.max(range.from, hole.to) },
  ]
  return parts.filter(({ from, to }) => to > from)
}

/** Adds a write: bytes written before keep the later phase of the two. */
export function withWrite(ranges: readonly ByteRange[], write: ByteRange): ByteRange[] {
  let fresh: ByteRange[] = [write]
  const kept = ranges.flatMap((old) => {
    if (old.phase <= write.phase) return subtract(old, write)
    fresh = fresh.flatMap((part) => subtract(part, old))
    return [old]
  })
  return coalesce([...kept, ...fresh])
}

/** Sorted, with touching ranges of one phase joined. */
export function coalesce<R extends Range & { readonly phase?: number }>(ranges: readonly R[]): R[] {
  const sorted = [...ranges].sort((a, b) => a.from - b.from)
  const result: R[] = []
  for (const range of sorted) {
    const last = result.at(-1)
    if (last && last.to >= range.from && last.phase === range.phase)
      result[result.length - 1] = { ...last, to: Math.max(last.to, range.to) }
    else result.push(range)
  }
  return result
}
