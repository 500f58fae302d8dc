/**
 * Memory of a process that V8 does not count: Buffers, native libraries, sockets' queues. The host says how much memory is
 * the process's own (RssAnon: no file, nothing shared); beyond its heap and its `data` together it is ended.
 */
import type { Kernel } from './kernel.ts'
import { sizeText } from './manifest/units.ts'
import type { Process } from './process.ts'

/** One read of /proc for each process. What a process fills in this time it may have beyond its limit. */
const SAMPLE_MS = 500

export class DataLimit {
  private readonly kernel: Kernel
  private alarm?: { cancel(): void }

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  start(): void {
    this.alarm = this.kernel.host.alarm(SAMPLE_MS, () => {
      for (const process of this.kernel.processes.values()) this.check(process)
      this.start()
    })
  }
  stop(): void {
    this.alarm?.cancel()
  }
  private check(process: Process): void {
    const { heap, data } = process.init.limits
    const ownKb = this.kernel.host.ownKb(process.pid) ?? 0
    if (ownKb * 1024 > heap + data)
      this.kernel.end(process, 'limit', `data: more than ${sizeText(data)} beside its heap`)
  }
}
