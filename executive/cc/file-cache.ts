/**
 * The cached pages of one file.
 *
 *   read(offset, length, sink)    hands each cached piece to `sink`; loads what is missing
 *   write(offset, bytes, end)     replaces bytes; pages wholly beyond `end` (the old size) are new and never read
 *   flush()                       writes every dirty page; the first failure is the answer, its pages stay dirty
 *   discard(from)                 forgets pages from an offset on, dirty or not
 *
 * Moves data only between cache views and the disk (by naming pages) or the caller's bytes (by the caller's copy). Sizes,
 * locks and who may do what are its owner's affair.
 *
 * A page is valid, being loaded, or neither. Only the load writes to pages being loaded: a writer waits for it, and what a load
 * brings counts only if nothing was discarded meanwhile.
 */
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import { DIRTY, PAGE, VALID, type View, VIEW_PAGES, VIEW_SIZE, type ViewOwner } from './views.ts'

export interface Extent {
  readonly FileOffset: number
  readonly VolumeOffset: number
  readonly Length: number
}
/** What a file's cache needs of the world. */
export interface Backing {
  /** Where [offset, +length) lies on the volume; may cover less than asked when the file's allocation ends. */
  extents(offset: number, length: number): Promise<readonly Extent[]>
  /** Moves sectors between the volume and physical memory. */
  transfer(
    direction: 'read' | 'write',
    volumeOffset: number,
    physicalAddress: number,
    length: number,
  ): Promise<NTSTATUS>
  /** Bytes of the file that exist; nothing is read at or beyond. */
  size(): number
  /** A view with one `busy` for the caller. */
  take(owner: ViewOwner, index: number): Promise<View>
  touch(view: View): void
  release(view: View): void
  dirtied(pages: number): void
}
interface Entry {
  readonly view: View
  /** The load under way; `ended` resolves however it ends. */
  loading: { readonly first: number; readonly last: number; readonly ended: Promise<void> } | undefined
}

export class FileCache implements ViewOwner {
  private readonly backing: Backing
  private readonly entries = new Map<number, Promise<Entry> | Entry>()
  /** Where the last read ended: the next one beginning there is sequential. */
  private readEnd = 0
  private flushing: Promise<NTSTATUS> | undefined
  /** Counts discards: what was loaded across one is not trusted. */
  private discards = 0

  constructor(backing: Backing) {
    this.backing = backing
  }

  async read(offset: number, length: number, sink: (piece: Uint8Array, at: number) => void): Promise<void> {
    const sequential = offset === this.readEnd
    this.readEnd = offset + length
    for (let at = offset; at < offset + length; ) {
      const end = Math.min(offset + length, (Math.floor(at / VIEW_SIZE) + 1) * VIEW_SIZE)
      const index = Math.floor(at / VIEW_SIZE)
      const loading = this.loaded(index, at - index * VIEW_SIZE, end - index * VIEW_SIZE, sequential)
      if (sequential && (index + 1) * VIEW_SIZE < this.backing.size()) this.prefetch(index + 1)
      const view = await loading
      try {
        sink(view.bytes.subarray(at - index * VIEW_SIZE, end - index * VIEW_SIZE), at - offset)
      } finally {
        view.busy--
      }
      at = end
    }
  }

  /** `check`: throws when `bytes` may be read no longer. */
  async write(offset: number, bytes: Uint8Array, end: number, check: () => void = () => {}): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done
      const index = Math.floor(at / VIEW_SIZE)
      const from = at - index * VIEW_SIZE
      const length = Math.min(bytes.length - done, VIEW_SIZE - from)
      await this.writeView(index, from, bytes.subarray(done, done + length), end, check)
      done += length
    }
  }
  private async writeView(
    index: number,
    from: number,
    bytes: Uint8Array,
    end: number,
    check: () => void,
  ): Promise<void> {
    const base = index * VIEW_SIZE
    const to = from + bytes.length
    const keep = (page: number): boolean => base + page * PAGE < end
    const first = Math.floor(from / PAGE)
    const last = Math.floor((to - 1) / PAGE)
    const entry = await this.hold(index)
    try {
      if (from % PAGE !== 0 && keep(first)) await this.validate(entry, first, first)
      if (to % PAGE !== 0 && keep(last)) await this.validate(entry, last, last)
      while (entry.loading && entry.loading.first <= last && first <= entry.loading.last) await entry.loading.ended
      check()
      this.markWritten(entry.view, first, last, from, to)
      entry.view.bytes.set(bytes, from)
    } finally {
      entry.view.busy--
    }
  }
  /** New pages are zero around what is about to be written, from `from` to `to`. */
  private markWritten(view: View, first: number, last: number, from: number, to: number): void {
    let fresh = 0
    for (let page = first; page <= last; page++) {
      const partly = page * PAGE < from || (page + 1) * PAGE > to
      if (partly && !(view.pages[page] & VALID)) view.bytes.fill(0, page * PAGE, (page + 1) * PAGE)
      if (!(view.pages[page] & DIRTY)) fresh++
      view.pages[page] = VALID | DIRTY
    }
    view.dirtyPages += fresh
    this.backing.dirtied(fresh)
  }

  /** Something is not on the disk yet: dirty, or on its way. */
  get dirty(): boolean {
    if (this.flushing) return true
    for (const entry of this.entries.values()) if ('view' in entry && entry.view.dirtyPages > 0) return true
    return false
  }
  /** One at a time: a second call while one runs starts after it, so that it covers what was written meanwhile. */
  flush(): Promise<NTSTATUS> {
    const before = this.flushing ?? Promise.resolve(NT_STATUS.STATUS_SUCCESS)
    const flushing: Promise<NTSTATUS> = before
      .then(() => this.flushAll())
      .finally(() => {
        if (this.flushing === flushing) this.flushing = undefined
      })
    this.flushing = flushing
    return flushing
  }
  private async flushAll(): Promise<NTSTATUS> {
    const work: Promise<NTSTATUS>[] = []
    for (const entry of this.entries.values()) {
      if ('view' in entry && entry.view.dirtyPages > 0) work.push(this.flushView(entry.view))
    }
    const results = await Promise.all(work)
    return results.find((status) => !NT_SUCCESS(status)) ?? NT_STATUS.STATUS_SUCCESS
  }
  private async flushView(view: View): Promise<NTSTATUS> {
    view.busy++
    let result: NTSTATUS = NT_STATUS.STATUS_SUCCESS
    try {
      const runs: Promise<NTSTATUS>[] = []
      for (const [first, last] of dirtyRuns(view)) runs.push(this.writeRun(view, first, last))
      for (const status of await Promise.all(runs)) if (!NT_SUCCESS(status)) result = status
    } finally {
      view.busy--
    }
    return result
  }
  private async writeRun(view: View, first: number, last: number): Promise<NTSTATUS> {
    for (let page = first; page <= last; page++) view.pages[page] &= ~DIRTY
    view.dirtyPages -= last - first + 1
    this.backing.dirtied(-(last - first + 1))
    const status = await this.move('write', view, first, last).catch(statusOf)
    if (!NT_SUCCESS(status)) this.markUnwritten(view, first, last)
    return status
  }
  /** What could not be written is dirty again, unless it was discarded meanwhile. */
  private markUnwritten(view: View, first: number, last: number): void {
    let again = 0
    for (let page = first; page <= last; page++) {
      if (view.pages[page] !== VALID) continue
      view.pages[page] |= DIRTY
      again++
    }
    view.dirtyPages += again
    this.backing.dirtied(again)
  }

  discard(from: number): void {
    this.discards++
    for (const [index, entry] of [...this.entries]) {
      if (!('view' in entry)) continue
      const firstPage = Math.max(0, Math.ceil((from - index * VIEW_SIZE) / PAGE))
      const { view } = entry
      for (let page = firstPage; page < VIEW_PAGES; page++) {
        if (view.pages[page] & DIRTY) {
          view.dirtyPages--
          this.backing.dirtied(-1)
        }
        view.pages[page] = 0
      }
      if (firstPage === 0 && view.busy === 0 && !entry.loading) {
        this.entries.delete(index)
        this.backing.release(view)
      }
    }
  }
  /** Zeroes the rest of the page in which a shortened file now ends. */
  zeroTail(size: number): void {
    const entry = this.entries.get(Math.floor(size / VIEW_SIZE))
    const from = size % VIEW_SIZE
    if (entry && 'view' in entry && from % PAGE !== 0) entry.view.bytes.fill(0, from, Math.ceil(from / PAGE) * PAGE)
  }
  evicted(view: View): void {
    this.entries.delete(view.index)
  }

  /** The view with [from, to) valid, and the rest of it if `whole` and it can be had, and one `busy` held for the caller. */
  private async loaded(index: number, from: number, to: number, whole: boolean): Promise<View> {
    const entry = await this.hold(index)
    const first = Math.floor(from / PAGE)
    try {
      // Read-ahead that fails is nobody's error: whoever needs the page will meet it again.
      if (whole) await this.validate(entry, first, VIEW_PAGES - 1).catch(statusOf)
      await this.validate(entry, first, Math.ceil(to / PAGE) - 1)
    } catch (error) {
      entry.view.busy--
      throw error
    }
    return entry.view
  }
  private async validate(entry: Entry, first: number, last: number): Promise<void> {
    for (let gap = missing(entry.view, first, last); gap; gap = missing(entry.view, first, last)) {
      if (entry.loading) await entry.loading.ended
      else await this.load(entry, gap.first, gap.last)
    }
  }
  private async load(entry: Entry, first: number, last: number): Promise<void> {
    let end: () => void = () => undefined
    entry.loading = { first, last, ended: new Promise((resolve) => (end = resolve)) }
    try {
      await this.fill(entry.view, first, last)
    } finally {
      entry.loading = undefined
      end()
    }
  }
  private prefetch(index: number): void {
    if (this.entries.has(index)) return
    this.loaded(index, 0, VIEW_SIZE, false).then((view) => view.busy--, statusOf)
  }
  private async fill(view: View, first: number, last: number): Promise<void> {
    const { discards } = this
    const base = view.index * VIEW_SIZE
    const beyond = Math.ceil((this.backing.size() - base) / PAGE) - 1
    const lastOnDisk = Math.min(last, beyond)
    if (lastOnDisk >= first) {
      const status = await this.move('read', view, first, lastOnDisk)
      if (!NT_SUCCESS(status)) throw new StatusError(status)
      const tail = this.backing.size() - base
      if (tail < (lastOnDisk + 1) * PAGE) view.bytes.fill(0, Math.max(tail, first * PAGE), (lastOnDisk + 1) * PAGE)
    }
    if (last > lastOnDisk) view.bytes.fill(0, (Math.max(lastOnDisk, first - 1) + 1) * PAGE, (last + 1) * PAGE)
    if (discards !== this.discards) return
    for (let page = first; page <= last; page++) view.pages[page] |= VALID
  }
  /** Between a run of pages and the extents behind it, all at once; every byte of the file must have a place. */
  private async move(direction: 'read' | 'write', view: View, first: number, last: number): Promise<NTSTATUS> {
    const offset = view.index * VIEW_SIZE + first * PAGE
    const length = (last - first + 1) * PAGE
    const extents = await this.backing.extents(offset, length)
    const covered = extents.reduce((sum, extent) => sum + extent.Length, 0)
    if (covered < Math.min(length, this.backing.size() - offset)) return NT_STATUS.STATUS_FILE_CORRUPT_ERROR
    const transfers = extents.map((extent) =>
      this.backing.transfer(
        direction,
        extent.VolumeOffset,
        view.physicalAddress + first * PAGE + (extent.FileOffset - offset),
        extent.Length,
      ),
    )
    const results = await Promise.all(transfers)
    return results.find((status) => !NT_SUCCESS(status)) ?? NT_STATUS.STATUS_SUCCESS
  }
  /** The view, kept from eviction by one `busy` until the caller gives it back. */
  private async hold(index: number): Promise<Entry> {
    for (;;) {
      const entry = this.entries.get(index)
      if (!entry) return await this.make(index)
      if (!('view' in entry)) {
        await entry
        continue
      }
      entry.view.busy++
      this.backing.touch(entry.view)
      return entry
    }
  }
  /** Its `busy` is the caller's, not that of others who wait for it. */
  private make(index: number): Promise<Entry> {
    const made = this.backing.take(this, index).then(
      (view) => {
        const entry: Entry = { view, loading: undefined }
        this.entries.set(index, entry)
        return entry
      },
      (error: unknown) => {
        this.entries.delete(index)
        throw error
      },
    )
    this.entries.set(index, made)
    return made
  }
}

/** A declared failure as a status; any other is ours. */
function statusOf(error: unknown): NTSTATUS {
  if (error instanceof StatusError) return error.status
  throw error
}
function* dirtyRuns(view: View): Generator<[number, number]> {
  for (let page = 0; page < VIEW_PAGES; page++) {
    if (!(view.pages[page] & DIRTY)) continue
    const first = page
    while (page + 1 < VIEW_PAGES && view.pages[page + 1] & DIRTY) page++
    yield [first, page]
  }
}
/** The first run of pages in [first, last] that are not valid; undefined when all are. Stops before a valid (perhaps dirty) page. */
function missing(view: View, first: number, last: number): { first: number; last: number } | undefined {
  let from = first
  while (from <= last && view.pages[from] & VALID) from++
  if (from > last) return undefined
  let to = from
  while (to + 1 <= last && !(view.pages[to + 1] & VALID)) to++
  return { first: from, last: to }
}
