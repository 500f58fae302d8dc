/**
 * The cache's memory: views of 512 KiB, physically contiguous, each lent to one stretch of one file.
 *
 *   take()      a free view, else the least recently used clean one, busy once for the caller; undefined when there is none
 *   release(v)  back to the free list
 *
 * Knows nothing of files or disks; a view's owner says whether it may be taken away.
 */
import type { Memory } from '#sel4/api'

export const PAGE = 4096
/** A sequential stream makes one request of each view: half as many hops as with NT's 256 KiB. */
export const VIEW_SIZE = 512 * 1024
export const VIEW_PAGES = VIEW_SIZE / PAGE

export const VALID = 1
export const DIRTY = 2

export interface ViewOwner {
  /** The view is taken away: forget it. Only ever called for a view that is clean and not busy. */
  evicted(view: View): void
}
export class View {
  readonly bytes: Uint8Array
  readonly physicalAddress: number
  /** VALID and DIRTY bits of each page. */
  readonly pages = new Uint8Array(VIEW_PAGES)
  owner: ViewOwner | undefined
  /** Which view of its file. */
  index = 0
  dirtyPages = 0
  /** Loads, writes and copies under way; a busy view stays. */
  busy = 0

  constructor(bytes: Uint8Array, physicalAddress: number) {
    this.bytes = bytes
    this.physicalAddress = physicalAddress
  }
}

export class ViewPool {
  private readonly free: View[] = []
  /** In order of last use: a Map keeps insertion order. */
  private readonly used = new Map<View, true>()
  readonly size: number

  constructor(memory: Memory) {
    this.size = Math.floor(memory.length / VIEW_SIZE)
    for (let i = 0; i < this.size; i++) {
      this.free.push(
        new View(memory.bytes.subarray(i * VIEW_SIZE, (i + 1) * VIEW_SIZE), memory.physicalAddress + i * VIEW_SIZE),
      )
    }
  }
  take(owner: ViewOwner, index: number): View | undefined {
    const view = this.free.pop() ?? this.evict()
    if (!view) return undefined
    view.owner = owner
    view.index = index
    view.pages.fill(0)
    view.busy = 1
    this.used.set(view, true)
    return view
  }
  touch(view: View): void {
    this.used.delete(view)
    this.used.set(view, true)
  }
  release(view: View): void {
    view.owner = undefined
    view.dirtyPages = 0
    this.used.delete(view)
    this.free.push(view)
  }
  /** The next take() will not be in vain. */
  get hasRoom(): boolean {
    return this.free.length > 0 || [...this.used.keys()].some(evictable)
  }
  private evict(): View | undefined {
    for (const view of this.used.keys()) {
      if (!evictable(view)) continue
      view.owner?.evicted(view)
      this.used.delete(view)
      return view
    }
    return undefined
  }
}
const evictable = (view: View): boolean => view.dirtyPages === 0 && view.busy === 0
