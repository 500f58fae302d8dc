/**
 * The metadata of one volume: boot sector, tables, directories. File systems change it only by commits.
 *
 *   read(offset, bytes)     the newest bytes, with every commit in them
 *   apply(commit)           takes a commit as a whole, at once
 *   flush(upTo?)            writes commits in order; within a batch, phase by phase
 *   settle(offset, length)  before file data is written where metadata, or a freed cluster, may still wait in the log
 *
 * `current` pages are what the system sees; `durable` is what the disk holds for a page with commits still in the log. Only
 * sectors that a commit touched are ever written, so that a page's other half may belong to a file.
 *
 * Commits are joined into one batch while no later commit writes, in a lower phase, bytes that an earlier one writes in a
 * higher phase: then writing all of phase 0, then all of phase 1, ends with the same bytes and never shows a directory
 * entry before the clusters it names. A batch whose writing has begun takes no more commits; when the disk refuses it, it goes
 * on later at the phase it had reached, because an earlier phase written again could undo bytes of a later one.
 */
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import { PAGE } from './views.ts'

export interface MetadataWrite {
  readonly phase: number
  readonly offset: number
  readonly bytes: Uint8Array
}
export interface Range {
  readonly offset: number
  readonly length: number
}
/** The disk under a volume, in whole sectors. `bytes` is any memory; a bounce page does the DMA. */
export interface Disk {
  readonly sectorSize: number
  readonly length: number
  read(offset: number, bytes: Uint8Array): Promise<NTSTATUS>
  write(offset: number, bytes: Uint8Array): Promise<NTSTATUS>
}
interface Batch {
  /** Of its first and last commit. */
  readonly first: number
  last: number
  readonly writes: MetadataWrite[]
  readonly freed: Range[]
  /** The phase its writing has reached; undefined: not begun. */
  phase: number | undefined
}
interface Page {
  readonly current: Uint8Array
  durable: Uint8Array | undefined
}
/** Clean pages kept per volume: 16 MiB. */
const PAGES_MAX = 4096
/** One write to the disk at most. */
const RUN_MAX = 64 * 1024
const overlap = (a: number, aLength: number, b: number, bLength: number): boolean => a < b + bLength && b < a + aLength

export class MetadataCache {
  private readonly disk: Disk
  private readonly pages = new Map<number, Page>()
  private readonly loading = new Map<number, Promise<Page>>()
  private readonly log: Batch[] = []
  private sequence = 0
  private flushing: Promise<NTSTATUS> = Promise.resolve(NT_STATUS.STATUS_SUCCESS)

  constructor(disk: Disk) {
    this.disk = disk
  }
  get dirty(): boolean {
    return this.log.length > 0
  }

  async read(offset: number, bytes: Uint8Array): Promise<void> {
    if (!this.contains(offset, bytes.length)) throw new StatusError('STATUS_NONEXISTENT_SECTOR')
    const pages = await this.resident([...pagesOf({ offset, bytes })])
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done
      const { current } = pages.get(Math.floor(at / PAGE)) as Page
      const piece = current.subarray(at % PAGE, Math.min(PAGE, (at % PAGE) + bytes.length - done))
      bytes.set(piece, done)
      done += piece.length
    }
  }
  private contains(offset: number, length: number): boolean {
    return offset >= 0 && offset + length <= this.disk.length
  }
  /** All at the same time; again if one had to make room for another, because only resident pages are kept current. */
  private async resident(indices: readonly number[]): Promise<Map<number, Page>> {
    for (;;) {
      const pages = new Map<number, Page>()
      await Promise.all(indices.map(async (index) => pages.set(index, await this.page(index))))
      if (indices.every((index) => this.pages.get(index) === pages.get(index))) return pages
    }
  }

  /** Throws, with nothing changed, when a write lies beyond the volume. */
  apply(writes: readonly MetadataWrite[], freed: readonly Range[]): void {
    if (!writes.every((write) => this.contains(write.offset, write.bytes.length)))
      throw new StatusError('STATUS_INVALID_PARAMETER', 'a write beyond the volume')
    const sequence = ++this.sequence
    const batch = this.batchFor(writes, sequence)
    batch.last = sequence
    batch.writes.push(...writes)
    batch.freed.push(...freed)
    for (const write of writes) this.patchResident(write)
  }
  private batchFor(writes: readonly MetadataWrite[], sequence: number): Batch {
    const last = this.log.at(-1)
    const inverted = (earlier: MetadataWrite): boolean =>
      writes.some(
        (later) =>
          later.phase < earlier.phase &&
          overlap(later.offset, later.bytes.length, earlier.offset, earlier.bytes.length),
      )
    if (last && last.phase === undefined && !last.writes.some(inverted)) return last
    const batch: Batch = { first: sequence, last: sequence, writes: [], freed: [], phase: undefined }
    this.log.push(batch)
    return batch
  }
  private patchResident(write: MetadataWrite): void {
    for (let index = Math.floor(write.offset / PAGE); index * PAGE < write.offset + write.bytes.length; index++) {
      const page = this.pages.get(index)
      if (!page) continue
      page.durable ??= page.current.slice()
      patch(page.current, index * PAGE, write)
    }
  }

  /** Serial; a failure leaves the batch in the log. */
  flush(upTo: number = this.sequence): Promise<NTSTATUS> {
    this.flushing = this.flushing
      .then(() => this.flushBatches(upTo))
      .catch((error: unknown) => {
        if (error instanceof StatusError) return error.status
        throw error
      })
    return this.flushing
  }
  private async flushBatches(upTo: number): Promise<NTSTATUS> {
    while (this.log.length > 0 && this.log[0].first <= upTo) {
      const batch = this.log[0]
      const status = await this.writeBatch(batch)
      if (!NT_SUCCESS(status)) return status
      this.log.shift()
      this.clean(batch)
    }
    return NT_STATUS.STATUS_SUCCESS
  }
  private async writeBatch(batch: Batch): Promise<NTSTATUS> {
    const phases = [...new Set(batch.writes.map((write) => write.phase))].sort((a, b) => a - b)
    for (const phase of phases) {
      if (phase < (batch.phase ?? 0)) continue
      batch.phase = phase
      const writes = batch.writes.filter((write) => write.phase === phase)
      const status = await this.writePhase(writes)
      if (!NT_SUCCESS(status)) return status
    }
    return NT_STATUS.STATUS_SUCCESS
  }
  private async writePhase(writes: readonly MetadataWrite[]): Promise<NTSTATUS> {
    for (const write of writes) await this.patchDurable(write)
    const runs = this.sectorRuns(writes)
    const results = await Promise.all(runs.map((run) => this.writeSectors(run)))
    return results.find((status) => !NT_SUCCESS(status)) ?? NT_STATUS.STATUS_SUCCESS
  }
  private async patchDurable(write: MetadataWrite): Promise<void> {
    for (let index = Math.floor(write.offset / PAGE); index * PAGE < write.offset + write.bytes.length; index++) {
      const page = await this.page(index)
      page.durable ??= page.current.slice()
      patch(page.durable, index * PAGE, write)
    }
  }
  /** The sectors a phase touches, neighbours joined. */
  private sectorRuns(writes: readonly MetadataWrite[]): Range[] {
    const { sectorSize } = this.disk
    const sectors = new Set<number>()
    for (const { offset, bytes } of writes) {
      for (let sector = Math.floor(offset / sectorSize); sector * sectorSize < offset + bytes.length; sector++)
        sectors.add(sector)
    }
    const runs: { offset: number; length: number }[] = []
    for (const sector of [...sectors].sort((a, b) => a - b)) {
      const last = runs.at(-1)
      if (last && last.offset + last.length === sector * sectorSize && last.length < RUN_MAX) last.length += sectorSize
      else runs.push({ offset: sector * sectorSize, length: sectorSize })
    }
    return runs
  }
  private writeSectors(run: Range): Promise<NTSTATUS> {
    const bytes = new Uint8Array(run.length)
    for (let done = 0; done < run.length; ) {
      const at = run.offset + done
      const page = this.pages.get(Math.floor(at / PAGE)) as Page
      const piece = (page.durable ?? page.current).subarray(at % PAGE, Math.min(PAGE, (at % PAGE) + run.length - done))
      bytes.set(piece, done)
      done += piece.length
    }
    return this.disk.write(run.offset, bytes)
  }
  /** Drops the second copy of pages no later commit touches. */
  private clean(batch: Batch): void {
    const later = new Set<number>()
    for (const { writes } of this.log) for (const write of writes) for (const index of pagesOf(write)) later.add(index)
    for (const write of batch.writes) {
      for (const index of pagesOf(write)) {
        const page = this.pages.get(index)
        if (page && !later.has(index)) page.durable = undefined
      }
    }
  }

  async settle(offset: number, length: number): Promise<NTSTATUS> {
    const meets = (range: Range): boolean => overlap(range.offset, range.length, offset, length)
    const waiting = this.log.filter(
      (batch) => batch.freed.some(meets) || batch.writes.some((w) => overlap(w.offset, w.bytes.length, offset, length)),
    )
    const last = waiting.at(-1)
    return last ? this.flush(last.last) : NT_STATUS.STATUS_SUCCESS
  }

  private async page(index: number): Promise<Page> {
    const page = this.pages.get(index)
    if (page) {
      this.pages.delete(index)
      this.pages.set(index, page)
      return page
    }
    let loading = this.loading.get(index)
    if (!loading) {
      loading = this.load(index).finally(() => this.loading.delete(index))
      this.loading.set(index, loading)
    }
    return loading
  }
  private async load(index: number): Promise<Page> {
    const current = new Uint8Array(PAGE)
    const length = Math.min(PAGE, this.disk.length - index * PAGE)
    const status = await this.disk.read(index * PAGE, current.subarray(0, length))
    if (!NT_SUCCESS(status)) throw new StatusError(status)
    const page: Page = { current, durable: undefined }
    for (const { writes } of this.log) {
      for (const write of writes) {
        if (!overlap(write.offset, write.bytes.length, index * PAGE, PAGE)) continue
        page.durable ??= current.slice()
        patch(current, index * PAGE, write)
      }
    }
    this.makeRoom()
    this.pages.set(index, page)
    return page
  }
  private makeRoom(): void {
    if (this.pages.size < PAGES_MAX) return
    for (const [index, page] of this.pages) {
      if (page.durable) continue
      this.pages.delete(index)
      return
    }
  }
}

function* pagesOf(write: Omit<MetadataWrite, 'phase'>): Generator<number> {
  for (let index = Math.floor(write.offset / PAGE); index * PAGE < write.offset + write.bytes.length; index++)
    yield index
}
/** Copies the part of a write that falls into the page at `base`. */
function patch(page: Uint8Array, base: number, write: MetadataWrite): void {
  const from = Math.max(write.offset, base)
  const to = Math.min(write.offset + write.bytes.length, base + PAGE)
  page.set(write.bytes.subarray(from - write.offset, to - write.offset), from - base)
}
