/**
 * The shared region of one device frame: posted writes from the driver, published registers from the device.
 *
 *   registersBytes(frame)                 how large the region of a frame is
 *   DriverRegisters                       post · isQuiet · consumedAll · readPublished
 *   DeviceRegisters                       drain · publish · unpublish · quiet · discard · reset
 *
 * Two parts on pages of their own, so that each side can be given the other's for reading only:
 *
 *   driver's part   tail | ring of 256 (offset, value) pairs        written by the driver alone
 *   device's part   head | a valid bit and a quiet bit for each register | values   written by the device alone
 *
 * head and tail count writes since the region was made, modulo 2^32; the ring is empty when they are equal, full when they
 * are 256 apart. One driver and one device use a region. Each keeps its own counter privately and only ever *stores* it,
 * so the other side cannot change it.
 *
 * ## Why a read from here is as good as a request to the device
 *
 * Every shared word is 32 bits wide, aligned and touched with Atomics only: no word tears, and all accesses of both sides
 * have one total order that respects each side's program order.
 *
 *   driver:  W1 ring[tail] = write   W2 tail += 1   …   R1 head == tail?   R2 valid?   R3 value   R4 valid?   R5 head == tail?
 *   device:  D1 read tail   D2 read ring[head]   D3 run the chip, which publishes and unpublishes   D4 head += 1
 *
 * 1. A read pushes earlier writes. The driver's own tail counts every write it posted. If R1 sees head == tail, D4 of the
 *    last of them precedes R1; D3 precedes D4; so R2–R4 see what the chip published while it took that write, or something
 *    newer. A register whose value a write changes later (a command that runs) shows its value as of now, as in hardware.
 * 2. The value was current. If the register is valid at R2, whatever R3 loads was the register's published value at some
 *    moment between R2 and R3: either nothing changed, or a publish between them put the value there. A device that stops
 *    publishing a register clears its bit *before* the register's value may differ, and sets it again only after the value
 *    is stored. So a read that saw the bit at R2 takes effect at a moment after it began, even if the bit came and went.
 *    R4 and R5 add that nothing stale is handed out when the device withdraws or resets meanwhile: the driver asks it then.
 * 3. Two reads in a row take effect in that order, since each takes effect between its own R1 and R5.
 * 4. An interrupt that follows a publish is a message sent after it; whoever has received it sees the publish.
 *
 * A read with side effects must never be published: the device would not notice it.
 *
 * ## Quiet registers
 *
 * A write that only acknowledges changes nothing until the device next looks. A device may call such a register quiet: the
 * driver then rings no bell for the write, which is taken with the next one that has a bell, or before the next read. A driver
 * that acknowledges and still waits for something must read the state behind it anyway, or it could lose what came between
 * the two on any hardware; that read pushes the write.
 *
 * ## What a liar can do
 *
 * The driver believes of head only head == tail, or that there is room: a wild head reads as "full" and "not consumed", so
 * the driver asks by request and loses nothing but speed. A device that calls a register quiet delays its own work. The device reads tail once for each drain, so a driver that posts
 * for ever cannot hold it; a tail more than 256 ahead is a lie: the writes are dropped, counted in `refused`, and the ring
 * begins anew there. An offset that is not a register of this frame is counted and dropped. Neither side can be made to
 * touch a word outside the region.
 */

/** Enough for a batch of NCQ commands with their PxCI and PxIS writes between two doorbells; 2 KiB of one page. */
export const RING_ENTRIES = 256
const PAGE = 4096

/** Word indices in the driver's part. The counter has a cache line (64 bytes) of its own. */
const TAIL = 0
const RING = 16
/** Word indices in the device's part. */
const HEAD = 0
const VALID = 16

/** A BAR larger than this is split into several frames. */
const FRAME_LIMIT = 1024 * 1024

/** A bit for each register. */
const bitWords = (frame: number): number => Math.ceil(frame / 4 / 32)
const devicePartBytes = (frame: number): number => Math.ceil(((VALID + 2 * bitWords(frame)) * 4 + frame) / PAGE) * PAGE

/** The size of the shared region of a frame `frame` bytes long: a whole number of pages. */
export function registersBytes(frame: number): number {
  if (!Number.isSafeInteger(frame) || frame <= 0 || frame > FRAME_LIMIT || frame % 4 !== 0)
    throw new RangeError(`A device frame is 4 to ${FRAME_LIMIT} bytes of 32-bit registers, not ${frame}`)
  return PAGE + devicePartBytes(frame)
}

interface Parts {
  readonly driver: Uint32Array
  readonly device: Uint32Array
  /** Word indices in the device's part: of the quiet bits, and of register 0's value. */
  readonly quiet: number
  readonly values: number
}

function partsOf(region: Uint8Array, frame: number): Parts {
  const bytes = registersBytes(frame)
  if (region.byteLength < bytes)
    throw new RangeError(`The region of this frame is ${bytes} bytes, not ${region.byteLength}`)
  return {
    driver: new Uint32Array(region.buffer, region.byteOffset, PAGE / 4),
    device: new Uint32Array(region.buffer, region.byteOffset + PAGE, (bytes - PAGE) / 4),
    quiet: VALID + bitWords(frame),
    values: VALID + 2 * bitWords(frame),
  }
}

const isRegister = (offset: number, frame: number): boolean =>
  Number.isInteger(offset) && offset >= 0 && offset < frame && offset % 4 === 0

/** The ring's words of the write with this count. */
const slotOf = (count: number): number => RING + 2 * (count & (RING_ENTRIES - 1))

/** The driver's side of a frame. Make it only after the device has discarded what an earlier driver left (`discard`). */
export class DriverRegisters {
  private readonly frame: number
  private readonly parts: Parts
  private tail: number

  constructor(region: Uint8Array, frame: number) {
    this.frame = frame
    this.parts = partsOf(region, frame)
    this.tail = Atomics.load(this.parts.device, HEAD)
    Atomics.store(this.parts.driver, TAIL, this.tail)
  }

  /** Appends a write; false when the ring is full and the device must be asked to drain first. */
  post(offset: number, value: number): boolean {
    if (!isRegister(offset, this.frame))
      throw new RangeError(`No register at offset ${offset} of a ${this.frame}-byte frame`)
    if (this.pending() >= RING_ENTRIES) return false
    const { driver } = this.parts
    const slot = slotOf(this.tail)
    Atomics.store(driver, slot, offset)
    Atomics.store(driver, slot + 1, value >>> 0)
    this.tail = (this.tail + 1) >>> 0
    Atomics.store(driver, TAIL, this.tail)
    return true
  }

  /** A write to it needs no bell. */
  isQuiet(offset: number): boolean {
    return isRegister(offset, this.frame) && this.bit(this.parts.quiet, offset)
  }

  /** True when the device has taken every write posted so far. */
  consumedAll(): boolean {
    return this.pending() === 0
  }

  /** The register's value as the device shows it; undefined when the device must be asked. */
  readPublished(offset: number): number | undefined {
    if (!isRegister(offset, this.frame) || !this.consumedAll() || !this.bit(VALID, offset)) return undefined
    const value = Atomics.load(this.parts.device, this.parts.values + offset / 4)
    return this.bit(VALID, offset) && this.consumedAll() ? value : undefined
  }

  /** Writes on their way; more than RING_ENTRIES when the device lies. */
  private pending(): number {
    return (this.tail - Atomics.load(this.parts.device, HEAD)) >>> 0
  }

  private bit(bits: number, offset: number): boolean {
    return (Atomics.load(this.parts.device, wordOf(bits, offset)) & bitOf(offset)) !== 0
  }
}

/** The device's side of a frame. */
export class DeviceRegisters {
  /** Writes dropped because they were no writes to this frame: more than zero means the driver is broken or lies. */
  refused = 0
  private readonly frame: number
  private readonly parts: Parts
  private head: number
  private draining = false

  constructor(region: Uint8Array, frame: number) {
    this.frame = frame
    this.parts = partsOf(region, frame)
    this.head = Atomics.load(this.parts.device, HEAD)
  }

  /**
   * Hands every write posted before the call to `write`, in order, and counts each as consumed when `write` returns; so
   * `write` publishes what it changed before it returns. Returns how many were delivered. A drain from inside `write`
   * delivers nothing: the outer one goes on.
   */
  drain(write: (offset: number, value: number) => void): number {
    if (this.draining) return 0
    this.draining = true
    try {
      return this.deliver(Atomics.load(this.parts.driver, TAIL), write)
    } finally {
      this.draining = false
    }
  }

  publish(offset: number, value: number): void {
    this.check(offset)
    Atomics.store(this.parts.device, this.parts.values + offset / 4, value >>> 0)
    Atomics.or(this.parts.device, wordOf(VALID, offset), bitOf(offset))
  }

  /** Call it before the register's value changes in a way that will not be published. */
  unpublish(offset: number): void {
    this.check(offset)
    Atomics.and(this.parts.device, wordOf(VALID, offset), ~bitOf(offset))
  }

  /** Until the next reset. */
  quiet(offset: number): void {
    this.check(offset)
    Atomics.or(this.parts.device, wordOf(this.parts.quiet, offset), bitOf(offset))
  }

  /** Forgets writes nobody will take: the driver died. */
  discard(): void {
    this.consumed(Atomics.load(this.parts.driver, TAIL))
  }

  /** Power-on: nothing published, nothing quiet, nothing on its way. */
  reset(): void {
    for (let word = VALID; word < this.parts.values; word++) Atomics.store(this.parts.device, word, 0)
    this.discard()
  }

  private deliver(tail: number, write: (offset: number, value: number) => void): number {
    if ((tail - this.head) >>> 0 > RING_ENTRIES) {
      this.refused++
      this.consumed(tail)
      return 0
    }
    let delivered = 0
    // A write may reset the device, which discards the rest: head is then at or beyond this tail.
    for (let at = this.head; this.head === at && at !== tail; at = (at + 1) >>> 0) {
      const slot = slotOf(at)
      const offset = Atomics.load(this.parts.driver, slot)
      const value = Atomics.load(this.parts.driver, slot + 1)
      if (isRegister(offset, this.frame)) {
        write(offset, value)
        delivered++
      } else this.refused++
      if (this.head === at) this.consumed((at + 1) >>> 0)
    }
    return delivered
  }

  private consumed(head: number): void {
    this.head = head
    Atomics.store(this.parts.device, HEAD, head)
  }

  private check(offset: number): void {
    if (!isRegister(offset, this.frame))
      throw new RangeError(`No register at offset ${offset} of a ${this.frame}-byte frame`)
  }
}

/** Where a register's bit is, of those that begin at word `bits` of the device's part. */
const wordOf = (bits: number, offset: number): number => bits + (offset >>> 7)
const bitOf = (offset: number): number => 1 << ((offset >>> 2) & 31)
