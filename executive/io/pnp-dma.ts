/**
 * Which memory the machine's DMA devices may reach: while such a device is started, all IO memory (arenas of drivers and
 * programs, the cache), because any of it may be named by an MDL; otherwise none.
 *
 *   addMemory / removeMemory   an arena came or went
 *   start / stop               a device was started by its driver, or that driver is dead
 *
 * Changes are applied one after the other, so that a memory and a device that arrive together meet exactly once.
 */
import type { Memory } from '#sel4/api'
import type { Executive } from '../executive.ts'

type Range = Pick<Memory, 'physicalAddress' | 'length'>

export class DmaManager {
  private readonly ex: Executive
  private readonly memories = new Set<Range>()
  private readonly started = new Set<string>()
  private last: Promise<unknown> = Promise.resolve()

  constructor(ex: Executive) {
    this.ex = ex
  }
  addMemory(memory: Range): Promise<void> {
    return this.inTurn(async () => {
      if (this.memories.has(memory)) return
      this.memories.add(memory)
      for (const device of this.started) await this.ex.root.dmaMap(device, memory, 'readwrite')
    })
  }
  removeMemory(memory: Range): Promise<void> {
    return this.inTurn(async () => {
      if (!this.memories.delete(memory)) return
      for (const device of this.started) await this.ex.root.dmaUnmap(device, memory)
    })
  }
  /** Opens all memory to a device; resolves before its driver is told to start it. */
  start(device: string): Promise<void> {
    return this.inTurn(async () => {
      if (this.started.has(device)) return
      this.started.add(device)
      for (const memory of this.memories) await this.ex.root.dmaMap(device, memory, 'readwrite')
    })
  }
  /** No DMA any more, confirmed by the device, which is reset. */
  stop(device: string): Promise<void> {
    return this.inTurn(async () => {
      if (this.started.delete(device)) for (const memory of this.memories) await this.ex.root.dmaUnmap(device, memory)
      await this.ex.root.resetDevice(device)
    })
  }
  isStarted(device: string): boolean {
    return this.started.has(device)
  }
  private inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.last.then(change)
    this.last = turn.catch(() => {})
    return turn
  }
}
