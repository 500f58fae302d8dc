/** For tests: the HBA with a disk in memory, and a minimal driver. */
import { FakeClock, FakeMachine } from '#sel4/fake'
import { type DiskImage, ImageError } from '../lib/image.ts'
import { scatter, type Views } from '../lib/views.ts'
import { Ahci } from './ahci.ts'
import { AtaDisk } from './ata-disk.ts'
import { CMD, GHC, HBA, PX } from './registers.ts'

export const LIST = 0x10000
export const RECEIVED = 0x11000
const TABLES = 0x20000
export const BUFFER = 0x100000
export const SECTORS = 4096

/** An image in memory; `bad` sectors fail to read. */
class MemoryImage implements DiskImage {
  readonly bytes = SECTORS * 512
  readonly content = new Uint8Array(SECTORS * 512).map((_, i) => (i >> 9) & 0xff)
  readonly bad = new Set<number>()
  readOnly = false
  flushes = 0
  read(views: Views, offset: number): void {
    let at = offset
    for (const view of views) {
      const bad = [...this.bad].find((sector) => sector * 512 < at + view.length && (sector + 1) * 512 > at)
      if (bad !== undefined) throw new ImageError(bad * 512, new Error('EIO'))
      scatter(this.content.subarray(at, at + view.length), [view])
      at += view.length
    }
  }
  write(views: Views, offset: number): void {
    let at = offset
    for (const view of views) {
      this.content.set(view, at)
      at += view.length
    }
  }
  flush(): void {
    this.flushes++
  }
  close(): void {}
}

export interface CommandOptions {
  command: number
  slot?: number
  lba?: number
  count?: number
  features?: number
  device?: number
  /** [address, bytes, I] of each descriptor. */
  regions?: readonly (readonly [number, number, boolean?])[]
  control?: number
  isCommand?: boolean
}

export function bench(options: { disk?: boolean; start?: boolean; allows?: (address: number) => boolean } = {}) {
  const clock = new FakeClock()
  const machine = new FakeMachine({ physicalBytes: 4 << 20, allows: options.allows })
  const image = new MemoryImage()
  const chip = new Ahci({
    clock,
    irq: machine.irq(0),
    dma: (address, length, access) => machine.dma(address, length, access),
    publish: (region, offset, value) => machine.publish(region, offset, value),
    quiet: (region, offset) => machine.quiet(region, offset),
    ...(options.disk !== false && { disk: new AtaDisk(image, 'SERIAL-1') }),
  })
  const memory = new DataView(machine.physical.buffer)
  const hba = (offset: number) => chip.mmioRead(0, offset)
  const px = (offset: number) => chip.mmioRead(0, HBA.PORTS + offset)
  const setHba = (offset: number, value: number) => chip.mmioWrite(0, offset, value >>> 0)
  const set = (offset: number, value: number) => chip.mmioWrite(0, HBA.PORTS + offset, value >>> 0)
  const raises = () => machine.irqs.filter(({ event }) => event === 'raise').length
  const start = () => {
    chip.command(6)
    set(PX.CLB, LIST)
    set(PX.FB, RECEIVED)
    set(PX.SERR, 0xffffffff)
    set(PX.CMD, px(PX.CMD) | CMD.FRE)
    set(PX.CMD, px(PX.CMD) | CMD.ST)
    set(PX.IS, 0xffffffff)
    setHba(HBA.IS, 0xffffffff)
    set(PX.IE, 0xffffffff)
    setHba(HBA.GHC, GHC.IE)
  }
  const recover = () => {
    set(PX.CMD, px(PX.CMD) & ~CMD.ST)
    set(PX.IS, 0xffffffff)
    set(PX.CMD, px(PX.CMD) | CMD.ST)
  }
  const build = ({
    slot = 0,
    command,
    lba = 0,
    count = 0,
    features = 0,
    device = 0x40,
    regions = [],
    ...rest
  }: CommandOptions) => {
    const table = TABLES + slot * 0x2000
    const flags = 5 | ((rest.isCommand ?? true) ? 0 : 0x400)
    memory.setUint32(LIST + slot * 32, flags | (regions.length << 16), true)
    memory.setUint32(LIST + slot * 32 + 4, 0, true)
    memory.setUint32(LIST + slot * 32 + 8, table, true)
    const low = [lba & 0xff, (lba >> 8) & 0xff, (lba >> 16) & 0xff]
    const high = [(lba >>> 24) & 0xff, 0, 0]
    const fis = [0x27, (rest.isCommand ?? true) ? 0x80 : 0, command, features & 0xff, ...low, device]
    fis.push(...high, features >> 8, count & 0xff, count >> 8, 0, rest.control ?? 0)
    machine.physical.set(fis, table)
    for (const [i, [address, bytes, interrupt]] of regions.entries()) {
      memory.setUint32(table + 0x80 + i * 16, address, true)
      memory.setUint32(table + 0x80 + i * 16 + 12, ((bytes - 1) | (interrupt ? 0x80000000 : 0)) >>> 0, true)
    }
  }
  const issue = (options: CommandOptions) => {
    build(options)
    set(PX.CI, 1 << (options.slot ?? 0))
  }
  const queue = (options: CommandOptions & { slot: number; sectors: number }) => {
    build({ ...options, features: options.sectors, count: options.slot << 3 })
    set(PX.SACT, 1 << options.slot)
    set(PX.CI, 1 << options.slot)
  }
  const fis = (offset: number, bytes = 20) => [
    ...machine.physical.subarray(RECEIVED + offset, RECEIVED + offset + bytes),
  ]
  const buffer = (bytes: number) => machine.physical.subarray(BUFFER, BUFFER + bytes)
  const words = () => new Uint16Array(machine.physical.buffer, BUFFER, 256)
  if (options.start !== false) start()
  return {
    chip,
    clock,
    machine,
    image,
    memory,
    hba,
    px,
    setHba,
    set,
    raises,
    start,
    recover,
    build,
    issue,
    queue,
    fis,
    buffer,
    words,
  }
}
