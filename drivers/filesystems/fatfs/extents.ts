/**
 * Where a chain's clusters are: runs in file order, merged, so that any offset is found by bisection and the end in O(1).
 *
 *   append(cluster, count) truncate(clusters)   the chain changed
 *   runs(from, to)                              [cluster, count] of a range of the chain
 *   extentsOf(...)                              bytes of the file → bytes of the volume
 */
import type { Extent } from '#wdm'
import { clusterOffset, type Geometry } from './boot.ts'

export class RunList {
  /** Parallel: first cluster of the file, of the volume, and how many. */
  private readonly starts: number[] = []
  private readonly where: number[] = []
  private readonly counts: number[] = []
  clusters = 0

  get first(): number {
    return this.where.length ? this.where[0] : 0
  }
  get last(): number {
    const i = this.where.length - 1
    return i < 0 ? 0 : this.where[i] + this.counts[i] - 1
  }

  append(cluster: number, count: number): void {
    const i = this.where.length - 1
    if (i >= 0 && this.where[i] + this.counts[i] === cluster) this.counts[i] += count
    else {
      this.starts.push(this.clusters)
      this.where.push(cluster)
      this.counts.push(count)
    }
    this.clusters += count
  }

  truncate(clusters: number): void {
    while (this.starts.length && this.starts[this.starts.length - 1] >= clusters) {
      this.starts.pop()
      this.where.pop()
      this.counts.pop()
    }
    const i = this.starts.length - 1
    if (i >= 0) this.counts[i] = Math.min(this.counts[i], clusters - this.starts[i])
    this.clusters = Math.min(this.clusters, clusters)
  }

  /** This chain with another behind it. */
  with(more: RunList): RunList {
    const list = new RunList()
    for (const part of [this, more])
      for (const [cluster, count] of part.runs(0, part.clusters)) list.append(cluster, count)
    return list
  }

  /** The cluster at an index of the chain. */
  at(index: number): number {
    const i = this.find(index)
    return this.where[i] + index - this.starts[i]
  }

  *runs(from: number, to: number): Generator<readonly [number, number]> {
    for (let i = this.find(from); i < this.starts.length && this.starts[i] < to; i++) {
      const skip = Math.max(0, from - this.starts[i])
      const count = Math.min(this.counts[i], to - this.starts[i]) - skip
      if (count > 0) yield [this.where[i] + skip, count]
    }
  }

  private find(index: number): number {
    let low = 0
    let high = this.starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.starts[middle] <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Runs covering [offset, +length), clipped to what is allocated; at most `limit` of them, the first ones. */
export function extentsOf(geometry: Geometry, list: RunList, offset: number, length: number, limit: number): Extent[] {
  const { BytsPerClus } = geometry
  const end = Math.min(offset + length, list.clusters * BytsPerClus)
  const extents: Extent[] = []
  let at = offset
  if (at >= end) return extents
  for (const [cluster, count] of list.runs(Math.floor(at / BytsPerClus), Math.ceil(end / BytsPerClus))) {
    if (extents.length === limit) break
    const within = at % BytsPerClus
    const Length = Math.min(count * BytsPerClus - within, end - at)
    extents.push({ FileOffset: at, VolumeOffset: clusterOffset(geometry, cluster) + within, Length })
    at += Length
  }
  return extents
}
