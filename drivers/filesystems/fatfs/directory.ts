/**
 * A directory: its entries indexed by name, its slots, and how entries are added, changed and removed.
 *
 *   lookup(name)                           entry by long or short name, case-insensitive
 *   from(slot)                             entries in disk order
 *   stageAdd / stageUpdate / stageRemove   put into a Change; the index follows when it settles
 *
 * Loaded once and then kept in step; one object per directory of a volume (volume.ts sees to it).
 * [fatgen103] FAT Directory Structure, FAT Long Directory Entries
 */
import { StatusError } from '#rtl'
import { clusterOffset } from './boot.ts'
import { type Change, PHASE } from './change.ts'
import {
  ATTR_VOLUME_ID,
  DELETED,
  type Dirent,
  decodeDirent,
  END,
  encodeDirent,
  encodeNameSlots,
  isLongNameSlot,
  NameCollector,
  SLOT,
} from './dirent.ts'
import type { RunList } from './extents.ts'
import { exactShortName, fold, generateShortName, isLegalName, shortNameOf, shortStem } from './names.ts'
import type { Volume } from './volume.ts'

/** 2 MiB. [fatgen103] FAT Directory Structure */
const SLOTS_MAX = 65_536
const READ_MAX = 64 * 1024

export interface Entry extends Dirent {
  name: string
  shortName: string
  directory: Directory
  /** Of the short entry; `first` is where its long name starts. */
  slot: number
  first: number
}
/** Dirent fields of a new entry that do not follow from its name. */
export type NewEntry = Omit<Dirent, 'raw' | 'ntRes'>
interface NameSlots {
  raw: Uint8Array
  ntRes: number
  shortName: string
  slots: Uint8Array[]
  stem?: string
  tail?: number
}

export class Directory {
  readonly volume: Volume
  /** First cluster; 0 the root of FAT12 and FAT16. */
  readonly key: number
  readonly runs: RunList
  label = ''
  private readonly entries: (Entry | undefined)[] = []
  private readonly byName = new Map<string, Entry>()
  /** 1: in use. */
  private used = new Uint8Array(0)
  /** First slot never used; nothing behind it is looked at. */
  private end = 0
  private capacity: number
  /** Old bytes lie behind the end: it must be written again when it moves. */
  private garbage = false
  /** Where the search for a numeric tail goes on, by stem. */
  private readonly tails = new Map<string, number>()

  constructor(volume: Volume, key: number, runs: RunList) {
    this.volume = volume
    this.key = key
    this.runs = runs
    this.capacity = this.slotsOf(runs.clusters)
  }

  private get fixed(): boolean {
    return this.key === 0
  }
  private slotsOf(clusters: number): number {
    const { rootBytes, BytsPerClus } = this.volume.geometry
    return (this.fixed ? rootBytes : clusters * BytsPerClus) / SLOT
  }

  // -------------------------------------------------------------- reading
  async load(): Promise<void> {
    if (this.capacity > SLOTS_MAX) throw new StatusError('STATUS_FILE_CORRUPT_ERROR', 'a directory is too long')
    this.used = new Uint8Array(this.capacity)
    const collector = new NameCollector()
    let slot = 0
    let ended = false
    for await (const bytes of this.chunks())
      for (let at = 0; at < bytes.byteLength; at += SLOT, slot++) {
        ended ||= bytes[at] === END
        if (!ended) this.loadSlot(bytes, at, slot, collector)
        else if (bytes[at] !== END) this.garbage = true
      }
  }

  private async *chunks(): AsyncGenerator<Uint8Array> {
    const { geometry } = this.volume
    const extents: [number, number][] = this.fixed ? [[geometry.rootOffset, geometry.rootBytes]] : []
    for (const [cluster, count] of this.runs.runs(0, this.runs.clusters))
      extents.push([clusterOffset(geometry, cluster), count * geometry.BytsPerClus])
    for (const [offset, length] of extents)
      for (let at = 0; at < length; at += READ_MAX)
        yield await this.volume.readMetadata(offset + at, Math.min(READ_MAX, length - at))
  }

  private loadSlot(bytes: Uint8Array, at: number, slot: number, collector: NameCollector): void {
    this.end = slot + 1
    if (bytes[at] !== DELETED) this.used[slot] = 1
    if (bytes[at] === DELETED) collector.reset()
    else if (isLongNameSlot(bytes[at + 11])) collector.add(bytes, at)
    else this.loadDirent(bytes, at, slot, collector)
  }

  private loadDirent(bytes: Uint8Array, at: number, slot: number, collector: NameCollector): void {
    const dirent = decodeDirent(bytes, at, this.volume.geometry.FatType === 32)
    const long = collector.take(dirent.raw)
    const shortName = shortNameOf(dirent.raw)
    if (dirent.attributes & ATTR_VOLUME_ID) this.label ||= labelOf(dirent.raw)
    else if (shortName) this.index(this.entryOf(dirent, shortName, long, slot))
  }

  /** A long name that could not be opened by is passed over for the short one. */
  private entryOf(
    dirent: Dirent,
    shortName: string,
    long: { name: string; slots: number } | undefined,
    slot: number,
  ): Entry {
    const name = long && isLegalName(long.name) ? long.name : (shortNameOf(dirent.raw, dirent.ntRes) as string)
    return { ...dirent, name, shortName, directory: this, slot, first: slot - (long?.slots ?? 0) }
  }

  /** Of two entries with one name, which only a damaged disk has, the first is found. */
  private index(entry: Entry): void {
    this.entries[entry.slot] = entry
    for (const name of [fold(entry.name), fold(entry.shortName)])
      if (!this.byName.has(name)) this.byName.set(name, entry)
  }
  private unindex(entry: Entry): void {
    this.entries[entry.slot] = undefined
    this.used.fill(0, entry.first, entry.slot + 1)
    for (const name of [fold(entry.name), fold(entry.shortName)])
      if (this.byName.get(name) === entry) this.byName.delete(name)
  }

  lookup(name: string): Entry | undefined {
    return this.byName.get(fold(name))
  }
  *from(slot: number): Generator<Entry> {
    for (let i = slot; i < this.entries.length; i++) {
      const entry = this.entries[i]
      if (entry) yield entry
    }
  }
  get isEmpty(): boolean {
    return this.from(0).next().done === true
  }

  slotOffset(slot: number): number {
    const { geometry } = this.volume
    const at = slot * SLOT
    if (this.fixed) return geometry.rootOffset + at
    const cluster = this.runs.at(Math.floor(at / geometry.BytsPerClus))
    return clusterOffset(geometry, cluster) + (at % geometry.BytsPerClus)
  }
  offsetOf(entry: Entry): number {
    return this.slotOffset(entry.slot)
  }

  // -------------------------------------------------------------- changing
  /** `instead` gives up its names and slots in the same change, so they count as free. */
  private nameSlots(name: string, instead?: Entry): NameSlots {
    if (!isLegalName(name)) throw new StatusError('STATUS_OBJECT_NAME_INVALID', name)
    const taken = (text: string) => {
      const holder = this.byName.get(text)
      return holder !== undefined && holder !== instead
    }
    const exact = exactShortName(name)
    if (exact) return { ...exact, shortName: shortNameOf(exact.raw) as string, slots: [] }
    const stem = shortStem(name)
    const key = `${stem.base.slice(0, 6)}.${stem.extension}`
    const generated = generateShortName(stem, taken, this.tails.get(key) ?? 1)
    if (!generated) throw new StatusError('STATUS_DISK_FULL', 'no short name is left')
    const { raw, tail } = generated
    const slots = encodeNameSlots(name, raw)
    return { raw, ntRes: 0, shortName: shortNameOf(raw) as string, slots, stem: key, tail }
  }

  /**
   * Adds an entry. `instead` is an entry of this directory the change removes: its place is taken over when the new one
   * fits, ending at the same slot, so that the short entry is replaced by one write of one sector.
   */
  async stageAdd(change: Change, name: string, fields: NewEntry, instead?: Entry): Promise<Entry> {
    const { raw, ntRes, shortName, slots, stem, tail } = this.nameSlots(name, instead)
    const count = slots.length + 1
    const first = (instead && this.placeInstead(instead, count)) ?? (await this.findFree(change, count))
    const slot = first + count - 1
    const entry: Entry = { ...fields, raw, ntRes, name, shortName, directory: this, slot, first }
    const replaces = instead && slot === instead.slot ? instead : undefined
    const phase = PHASE.entry
    if (replaces) await this.stageErase(change, replaces.first, first, phase)
    else if (instead)
      await this.stageRemove(change, instead, this.sameSector(change, instead.slot, slot) ? phase : PHASE.remove)
    await this.stageSlots(change, first, [...slots, encodeDirent(entry)], phase)
    change.after(() => {
      if (replaces) this.unindex(replaces)
      this.used.fill(1, first, slot + 1)
      this.end = Math.max(this.end, slot + 1)
      this.index(entry)
      if (stem) this.tails.set(stem, (tail as number) + 1)
    })
    return entry
  }

  private sameSector(change: Change, a: number, b: number): boolean {
    const { BytsPerSec } = this.volume.geometry
    return Math.floor(this.offsetIn(change, a) / BytsPerSec) === Math.floor(this.offsetIn(change, b) / BytsPerSec)
  }

  /** The first slot when the set may end where `instead` ends. */
  private placeInstead(instead: Entry, count: number): number | undefined {
    const first = instead.slot - count + 1
    if (first < 0) return undefined
    for (let slot = first; slot < instead.first; slot++) if (this.used[slot]) return undefined
    return first
  }

  private async stageSlots(change: Change, first: number, slots: Uint8Array[], phase: number): Promise<void> {
    const end = first + slots.length
    if (this.garbage && end > this.end && end < this.capacity) slots = [...slots, new Uint8Array(SLOT)]
    for (let i = 0; i < slots.length; ) {
      const offset = this.offsetIn(change, first + i)
      let count = 1
      while (i + count < slots.length && this.offsetIn(change, first + i + count) === offset + count * SLOT) count++
      const bytes = new Uint8Array(count * SLOT)
      for (let k = 0; k < count; k++) bytes.set(slots[i + k], k * SLOT)
      await change.write(offset, bytes, phase)
      i += count
    }
  }

  /** Offsets in clusters this change has just added are kept here until it settles. */
  private grown: { change: Change; pieces: RunList } | undefined
  private offsetIn(change: Change, slot: number): number {
    if (slot < this.capacity) return this.slotOffset(slot)
    const { geometry } = this.volume
    const at = (slot - this.capacity) * SLOT
    const pieces = this.grown?.change === change ? this.grown.pieces : undefined
    if (!pieces) throw new Error('a slot behind the end of its directory')
    return clusterOffset(geometry, pieces.at(Math.floor(at / geometry.BytsPerClus))) + (at % geometry.BytsPerClus)
  }

  async stageUpdate(change: Change, entry: Entry, fields: Partial<Dirent>): Promise<void> {
    await change.write(this.slotOffset(entry.slot), encodeDirent({ ...entry, ...fields }), PHASE.entry)
    change.after(() => Object.assign(entry, fields))
  }

  async stageRemove(change: Change, entry: Entry, phase: number = PHASE.entry): Promise<void> {
    await this.stageErase(change, entry.first, entry.slot + 1, phase)
    change.after(() => this.unindex(entry))
  }

  private async stageErase(change: Change, from: number, to: number, phase: number): Promise<void> {
    for (let slot = from; slot < to; slot++) await change.write(this.slotOffset(slot), new Uint8Array([DELETED]), phase)
  }

  // -------------------------------------------------------------- room
  private async findFree(change: Change, count: number): Promise<number> {
    let run = 0
    for (let slot = 0; slot < this.end; slot++) {
      run = this.used[slot] ? 0 : run + 1
      if (run === count) return slot - count + 1
    }
    const first = this.end - run
    if (first + count > this.capacity) await this.grow(change, first + count)
    return first
  }

  /** New clusters are zeroed before the chain leads to them. */
  private async grow(change: Change, slots: number): Promise<void> {
    if (this.fixed || slots > SLOTS_MAX) throw new StatusError('STATUS_DISK_FULL', 'the directory is full')
    const { geometry, fat } = this.volume
    const clusters = Math.ceil((slots * SLOT) / geometry.BytsPerClus) - this.runs.clusters
    const pieces = await fat.extend(change, this.runs, clusters)
    this.grown = { change, pieces }
    for (const [first, length] of pieces.runs(0, clusters))
      for (let i = 0; i < length; i++)
        await change.write(clusterOffset(geometry, first + i), new Uint8Array(geometry.BytsPerClus), PHASE.fresh)
    change.after(() => this.resize())
  }

  private resize(): void {
    this.capacity = this.slotsOf(this.runs.clusters)
    const used = new Uint8Array(this.capacity)
    used.set(this.used)
    this.used = used
    this.grown = undefined
  }
}

const labelOf = (raw: Uint8Array) => (shortNameOf(raw) ? String.fromCharCode(...raw).trimEnd() : '')
