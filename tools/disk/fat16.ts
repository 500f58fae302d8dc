/**
 * Makes a FAT16 volume with files in it, for the disk that a first boot finds: a formatter and a writer, no reader.
 *
 *   layoutOf(sectors)               where everything is on a volume of that size
 *   fatVolume(sectors, tree, options)   the pieces to write, by byte offset; what is not in one is zero
 *
 * Pure: bytes from a tree, the same for the same time stamp. Long names get a short alias NAME~1.EXT.
 *
 * [FAT] Microsoft FAT Specification (fatgen103), field names as there
 */
export type Tree = { readonly [name: string]: Uint8Array | Tree }
export interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}
export interface FatOptions {
  readonly label: string
  readonly serial: number
  readonly time: Date
  /** Sectors before the volume on the disk. [FAT] BPB_HiddSec */
  readonly hiddenSectors?: number
}

const BytsPerSec = 512
/** 2 KiB clusters: 32 MiB then has about 16,000 of them, well inside FAT16. [FAT] "FAT Type Determination" */
const SecPerClus = 4
const ClusterBytes = BytsPerSec * SecPerClus
const RsvdSecCnt = 1
const NumFATs = 2
const RootEntCnt = 512
const MediaFixed = 0xf8
/** A volume is FAT16 when its clusters are at least 4085 and fewer than 65525. [FAT] "FAT Type Determination" */
const FEWEST_CLUSTERS = 4085
const MOST_CLUSTERS = 65524
const END_OF_CHAIN = 0xffff
const ENTRY = 32
const ATTR_VOLUME_ID = 0x08
const ATTR_DIRECTORY = 0x10
const ATTR_ARCHIVE = 0x20
const ATTR_LONG_NAME = 0x0f
/** UTF-16 units of a long name in one entry. [FAT] "FAT Long Directory Entries" */
const LONG_UNITS = 13

export interface Layout {
  readonly sectors: number
  readonly FATSz16: number
  readonly rootSector: number
  readonly dataSector: number
  readonly clusters: number
}
export function layoutOf(sectors: number): Layout {
  const rootSectors = (RootEntCnt * ENTRY) / BytsPerSec
  const shared = sectors - RsvdSecCnt - rootSectors
  // A cluster takes its own sectors and two bytes in each FAT; the first two FAT entries stand for no cluster.
  const FATSz16 = Math.ceil((shared + 2 * SecPerClus) / ((BytsPerSec / 2) * SecPerClus + NumFATs))
  const rootSector = RsvdSecCnt + NumFATs * FATSz16
  const dataSector = rootSector + rootSectors
  const clusters = Math.floor((sectors - dataSector) / SecPerClus)
  if (clusters < FEWEST_CLUSTERS || clusters > MOST_CLUSTERS)
    throw new RangeError(`${sectors} sectors make no FAT16 volume with 2 KiB clusters`)
  return { sectors, FATSz16, rootSector, dataSector, clusters }
}

export function fatVolume(sectors: number, tree: Tree, options: FatOptions): Piece[] {
  const writer = new FatWriter(layoutOf(sectors), options)
  writer.writeRoot(tree)
  return writer.pieces()
}

class FatWriter {
  private readonly layout: Layout
  private readonly options: FatOptions
  private readonly fat: Uint16Array
  private readonly data: Piece[] = []
  private next = 2

  constructor(layout: Layout, options: FatOptions) {
    this.layout = layout
    this.options = options
    this.fat = new Uint16Array((layout.FATSz16 * BytsPerSec) / 2)
    this.fat[0] = 0xff00 | MediaFixed
    this.fat[1] = END_OF_CHAIN
  }

  pieces(): Piece[] {
    const fat = new Uint8Array(this.fat.buffer)
    const fats = Array.from({ length: NumFATs }, (_, i) => ({
      offset: (RsvdSecCnt + i * this.layout.FATSz16) * BytsPerSec,
      bytes: fat,
    }))
    return [{ offset: 0, bytes: bootSector(this.layout, this.options) }, ...fats, ...this.data]
  }
  writeRoot(tree: Tree): void {
    const label = shortEntry(padded(this.options.label, 11), ATTR_VOLUME_ID, 0, 0, this.options.time)
    const entries = [label, ...this.entries(tree, 0)]
    if (entries.length > RootEntCnt) throw new RangeError(`the root directory holds ${RootEntCnt} entries`)
    this.data.push({ offset: this.layout.rootSector * BytsPerSec, bytes: joined(entries) })
  }
  /** The entries of a directory's children; the children themselves are written. */
  private entries(tree: Tree, self: number): Uint8Array[] {
    const taken = new Set<string>()
    return Object.entries(tree).flatMap(([name, content]) => {
      const short = shortName(name, taken)
      const isFile = content instanceof Uint8Array
      const first = isFile ? this.store(content) : this.directory(content, self)
      const size = isFile ? content.length : 0
      const entry = shortEntry(short, isFile ? ATTR_ARCHIVE : ATTR_DIRECTORY, first, size, this.options.time)
      return [...longEntries(name, short), entry]
    })
  }
  private directory(tree: Tree, parent: number): number {
    // A directory's first cluster must be known before its children are: they point back to it.
    const longest = 2 + Object.keys(tree).reduce((sum, name) => sum + 1 + Math.ceil(name.length / LONG_UNITS), 0)
    const first = this.allocate(longest * ENTRY)
    const dots = ['.', '..'].map((name, i) =>
      shortEntry(padded(name, 11), ATTR_DIRECTORY, i === 0 ? first : parent, 0, this.options.time),
    )
    this.put(first, joined([...dots, ...this.entries(tree, first)]))
    return first
  }
  private store(bytes: Uint8Array): number {
    if (bytes.length === 0) return 0
    const first = this.allocate(bytes.length)
    this.put(first, bytes)
    return first
  }
  private put(cluster: number, bytes: Uint8Array): void {
    this.data.push({ offset: this.layout.dataSector * BytsPerSec + (cluster - 2) * ClusterBytes, bytes })
  }
  /** A run of clusters, chained. Nothing is ever freed, so every run is contiguous. */
  private allocate(bytes: number): number {
    const count = Math.ceil(bytes / ClusterBytes)
    const first = this.next
    if (first + count > this.layout.clusters + 2) throw new RangeError('the volume is too small for these files')
    for (let i = 0; i < count; i++) this.fat[first + i] = i === count - 1 ? END_OF_CHAIN : first + i + 1
    this.next += count
    return first
  }
}

/** [FAT] "Boot Sector and BPB Structure" */
function bootSector(layout: Layout, options: FatOptions): Uint8Array {
  const sector = new Uint8Array(BytsPerSec)
  const view = new DataView(sector.buffer)
  const text = (offset: number, value: string) => sector.set(new TextEncoder().encode(value), offset)
  sector.set([0xeb, 0x3c, 0x90])
  text(3, 'NEPTUNE ')
  view.setUint16(11, BytsPerSec, true)
  view.setUint8(13, SecPerClus)
  view.setUint16(14, RsvdSecCnt, true)
  view.setUint8(16, NumFATs)
  view.setUint16(17, RootEntCnt, true)
  view.setUint16(19, layout.sectors < 0x10000 ? layout.sectors : 0, true)
  view.setUint8(21, MediaFixed)
  view.setUint16(22, layout.FATSz16, true)
  // BPB_SecPerTrk and BPB_NumHeads: only software that speaks CHS looks; the geometry translation everybody uses.
  view.setUint16(24, 63, true)
  view.setUint16(26, 255, true)
  view.setUint32(28, options.hiddenSectors ?? 0, true)
  view.setUint32(32, layout.sectors < 0x10000 ? 0 : layout.sectors, true)
  sector.set([0x80, 0, 0x29], 36)
  view.setUint32(39, options.serial, true)
  text(43, options.label.toUpperCase().padEnd(11).slice(0, 11))
  text(54, 'FAT16   ')
  // INT 18h, then halt: this disk boots nothing by itself.
  sector.set([0xcd, 0x18, 0xf4, 0xeb, 0xfd], 62)
  sector.set([0x55, 0xaa], 510)
  return sector
}

const padded = (text: string, length: number) => text.toUpperCase().padEnd(length).slice(0, length)
function joined(entries: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * ENTRY)
  entries.forEach((entry, i) => bytes.set(entry, i * ENTRY))
  return bytes
}
/** [FAT] "FAT 32 Byte Directory Entry Structure", "Date and Time Formats"; local time, as FAT keeps it. */
function shortEntry(name: string, attributes: number, cluster: number, size: number, time: Date): Uint8Array {
  const entry = new Uint8Array(ENTRY)
  const view = new DataView(entry.buffer)
  const date = ((time.getFullYear() - 1980) << 9) | ((time.getMonth() + 1) << 5) | time.getDate()
  const clock = (time.getHours() << 11) | (time.getMinutes() << 5) | (time.getSeconds() >> 1)
  entry.set(new TextEncoder().encode(name))
  entry[11] = attributes
  view.setUint16(14, clock, true)
  view.setUint16(16, date, true)
  view.setUint16(18, date, true)
  view.setUint16(22, clock, true)
  view.setUint16(24, date, true)
  view.setUint16(26, cluster, true)
  view.setUint32(28, size, true)
  return entry
}
/** Eleven characters, unique in their directory. [FAT] "Short Directory Entries", "The Basis-Name Generation Algorithm" */
function shortName(name: string, taken: Set<string>): string {
  const dot = name.lastIndexOf('.')
  const clean = (part: string) =>
    part
      .toUpperCase()
      .replace(/[. ]/g, '')
      .replace(/[^A-Z0-9!#$%&'()@^_`{}~-]/g, '_')
  const base = clean(dot > 0 ? name.slice(0, dot) : name)
  const extension = clean(dot > 0 ? name.slice(dot + 1) : '').slice(0, 3)
  const fits = isShort(name)
  for (let n = fits ? 0 : 1; ; n++) {
    const tail = n === 0 ? '' : `~${n}`
    const short = base.slice(0, 8 - tail.length) + tail
    const whole = padded(short, 8) + padded(extension, 3)
    if (taken.has(whole)) continue
    taken.add(whole)
    return whole
  }
}
const isShort = (name: string) => /^[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?$/.test(name)

/** [FAT] "FAT Long Directory Entries": last part first, each with the checksum of the short name. */
function longEntries(name: string, short: string): Uint8Array[] {
  if (isShort(name)) return []
  const units = [...Array.from(name, (_, i) => name.charCodeAt(i)), 0]
  const count = Math.ceil(name.length / LONG_UNITS)
  const sum = checksum(short)
  return Array.from({ length: count }, (_, i) => {
    const order = count - i
    const part = Array.from({ length: LONG_UNITS }, (_, k) => units[(order - 1) * LONG_UNITS + k] ?? 0xffff)
    return longEntry(order | (i === 0 ? 0x40 : 0), part, sum)
  })
}
/** Byte offsets of the 13 units in an entry. */
const UNIT_OFFSETS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]
function longEntry(order: number, units: readonly number[], sum: number): Uint8Array {
  const entry = new Uint8Array(ENTRY)
  const view = new DataView(entry.buffer)
  entry[0] = order
  entry[11] = ATTR_LONG_NAME
  entry[13] = sum
  UNIT_OFFSETS.forEach((offset, i) => view.setUint16(offset, units[i], true))
  return entry
}
const checksum = (short: string) =>
  [...short].reduce((sum, c) => (((sum & 1) << 7) + (sum >> 1) + c.charCodeAt(0)) & 0xff, 0)
