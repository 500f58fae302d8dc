/**
 * The lease: a process that has said nothing is asked whether it lives; one that does not answer is ended.
 *
 * Time is counted in the kernel's own ticks, so that a kernel that was stalled (or stopped with its children) blames
 * nobody. A process the host did not let run is not hung either: it is ended when it was stopped, when it burned
 * processor time without answering, or after ten leases whatever it did.
 */
import { encode, KIND } from '../lib/sel4/wire.ts'
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'

const TICK_MS = 500
/** A bundled image says HELLO within 0.2 s on a quiet machine. */
const BIRTH_TICKS = 60
const PATIENCE = 10

export class Lease {
  private readonly kernel: Kernel
  private alarm?: { cancel(): void }

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  start(): void {
    this.alarm = this.kernel.host.alarm(TICK_MS, () => {
      for (const process of this.kernel.processes.values()) this.check(process)
      this.start()
    })
  }
  stop(): void {
    this.alarm?.cancel()
  }
  private check(process: Process): void {
    if (!process.alive) return
    const { silent } = process
    process.silent++
    if (process.state === 'starting') {
      if (silent > BIRTH_TICKS) this.kernel.end(process, 'lease', 'it never said hello')
      return
    }
    if (silent === 1) {
      process.cpuAtSilence = this.kernel.host.usage(process.pid)?.cpuMs ?? 0
      process.tell(encode(KIND.PING, 0, 0, 0, 0, null))
    }
    const ticks = Math.ceil(process.init.leaseMs / TICK_MS)
    if (silent > ticks && this.hung(process, silent > ticks * PATIENCE)) this.kernel.end(process, 'lease', 'it hung')
  }
  private hung({ pid, cpuAtSilence, init }: Process, longSince: boolean): boolean {
    const usage = this.kernel.host.usage(pid)
    if (!usage || longSince) return true
    return usage.state === 'T' || usage.state === 't' || usage.cpuMs - cpuAtSilence > init.leaseMs / 2
  }
}
