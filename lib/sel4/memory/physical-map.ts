/**
 * Where physical addresses lie: which bank, and where in it.
 *
 *   locate(address, length)   the one bank that holds the whole range
 *   pieces(address, length)   the parts of a range that may cross from one bank into the next
 *   addressOf(bank, offset)   the way back
 *
 * Addresses may come from another process: anything out of range is undefined, never an exception or a wrong place.
 */
export interface BankRange {
  readonly name: string
  readonly physicalAddress: number
  readonly bytes: number
}
export interface Located {
  readonly bank: string
  readonly offset: number
}
export interface Piece extends Located {
  readonly length: number
}

export class PhysicalMap {
  private readonly ranges: readonly BankRange[]

  constructor(ranges: readonly BankRange[]) {
    this.ranges = [...ranges].sort((a, b) => a.physicalAddress - b.physicalAddress)
    for (const [index, range] of this.ranges.entries()) this.checkRange(range, this.ranges[index + 1])
  }

  locate(physicalAddress: number, length = 1): Located | undefined {
    const range = this.rangeAt(physicalAddress)
    if (!range || !isLength(length)) return undefined
    const offset = physicalAddress - range.physicalAddress
    return length <= range.bytes - offset ? { bank: range.name, offset } : undefined
  }

  /** In order; undefined when any byte of the range is in no bank. */
  pieces(physicalAddress: number, length: number): readonly Piece[] | undefined {
    if (!isLength(length)) return undefined
    const found: Piece[] = []
    for (let at = physicalAddress, left = length; left > 0; ) {
      const range = this.rangeAt(at)
      if (!range) return undefined
      const offset = at - range.physicalAddress
      const taken = Math.min(left, range.bytes - offset)
      found.push({ bank: range.name, offset, length: taken })
      at += taken
      left -= taken
    }
    return found
  }

  addressOf(bank: string, offset: number): number | undefined {
    const range = this.ranges.find(({ name }) => name === bank)
    return range && offset >= 0 && offset < range.bytes ? range.physicalAddress + offset : undefined
  }

  private rangeAt(address: number): BankRange | undefined {
    if (!Number.isSafeInteger(address)) return undefined
    return this.ranges.find(({ physicalAddress: base, bytes }) => address >= base && address - base < bytes)
  }

  private checkRange(range: BankRange, next: BankRange | undefined): void {
    const end = range.physicalAddress + range.bytes
    if (!(range.bytes > 0)) throw new RangeError(`Bank ${range.name} is empty`)
    if (next && end > next.physicalAddress) throw new RangeError(`Banks ${range.name} and ${next.name} overlap`)
  }
}

const isLength = (length: number): boolean => Number.isSafeInteger(length) && length > 0
