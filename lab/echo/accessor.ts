/** Program-visible memory: loads and stores through the accessor that faults as an MMU would, beside raw views of the same pages. */
import { OBJECT_TYPE, RIGHTS, seL4_CapInitThreadCNode, seL4_CapInitThreadVSpace } from '#contracts/sel4'
import type { Environment } from '#sel4/api'

/** A large page, and as many small ones side by side behind it. */
const VADDR = { large: 0x4000_0000, small: 0x4020_0000 } as const
const FIRST_SLOT = 0x1000
/** Bits of a 4 KiB page and of a large one. */
const PAGE_BITS = 12
const LARGE_BITS = 21

export interface Job {
  readonly how: 'load' | 'store' | 'raw-load' | 'raw-store'
  readonly pages: keyof typeof VADDR
  readonly bytes: number
  readonly operations: number
}
export class Accessor {
  private readonly env: Environment
  private ready?: Promise<void>
  private readonly raw = new Uint8Array(1 << LARGE_BITS)

  constructor(env: Environment) {
    this.env = env
  }
  /** Microseconds an operation. */
  async run({ how, pages, bytes, operations }: Job): Promise<number> {
    await (this.ready ??= this.map())
    const { libsel4, clock } = this.env
    const vaddr = VADDR[pages]
    const source = new Uint8Array(bytes).fill(0x5a)
    let copy = source
    const began = clock.now()
    for (let i = 0; i < operations; i++) {
      if (how === 'load') copy = (await libsel4.load(vaddr, bytes)) as typeof copy
      else if (how === 'store') await libsel4.store(vaddr, source)
      else if (how === 'raw-load') copy = this.raw.slice(0, bytes)
      else this.raw.set(source)
    }
    const us = ((clock.now() - began) * 1000) / operations
    if (copy.length !== bytes) throw new Error(`${copy.length} bytes loaded, not ${bytes}`)
    return us
  }
  private async map(): Promise<void> {
    const { libsel4, caps } = this.env
    const space = seL4_CapInitThreadVSpace
    let slot = FIRST_SLOT
    const make = async (type: keyof typeof OBJECT_TYPE): Promise<number> => {
      await libsel4.Untyped_Retype(caps['untyped.lab'], OBJECT_TYPE[type], 0, seL4_CapInitThreadCNode, 0, 0, slot, 1)
      return slot++
    }
    await libsel4.X86_PDPT_Map(await make('seL4_X86_PDPTObject'), space, VADDR.large, 0)
    await libsel4.X86_PageDirectory_Map(await make('seL4_X86_PageDirectoryObject'), space, VADDR.large, 0)
    await libsel4.X86_Page_Map(await make('seL4_X86_LargePageObject'), space, VADDR.large, RIGHTS.all, 0)
    await libsel4.X86_PageTable_Map(await make('seL4_X86_PageTableObject'), space, VADDR.small, 0)
    for (let page = 0; page < 1 << (LARGE_BITS - PAGE_BITS); page++)
      await libsel4.X86_Page_Map(await make('seL4_X86_4K'), space, VADDR.small + (page << PAGE_BITS), RIGHTS.all, 0)
  }
}
