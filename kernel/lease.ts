/**
 * The lease: a process that is stopped, or that works and says nothing, is ended.
 *
 * A silent process is looked at by the host and left alone while it sleeps. It is asked whether it lives when it has used
 * processor time in silence, and rarely otherwise: twenty sleepers cost next to nothing that way.
 *
 *   stopped for its lease                                → ended
 *   asked, silent for its lease and burning time in it   → ended
 *   asked, silent for ten leases whatever it did         → ended
 *   a change not confirmed for its lease                 → ended: whoever revokes must not wait for who does not want to
 *
 * Time is counted in the kernel's own ticks, so that a kernel that was stalled (or stopped with its children) blames
 * nobody, and neither is a process blamed that the host did not let run, or the kernel itself (throttle.ts).
 */
import { encode, KIND } from '../lib/sel4/wire.ts'
import type { Usage } from './host.ts'
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'

const TICK_MS = 500
/** A bundled image says HELLO within 0.2 s on a quiet machine. */
const BIRTH_TICKS = 60
/** Leases of silence after which no excuse counts; a sleeper is asked when half of them are over. */
const PATIENCE = 10

/** What was seen of a process since it was heard last. */
interface Silence {
  /** Processor time at the first look, then when it was asked. */
  cpuMs: number
  /** The tick in which it was asked. */
  asked?: number
  /** Looks in a row at which it was stopped. */
  stopped: number
}

export class Lease {
  private readonly kernel: Kernel
  private alarm?: { cancel(): void }
  private readonly silences = new WeakMap<Process, Silence>()

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
    if (!process.alive || process.held) return
    const silent = process.silent++
    const isStarting = process.state === 'starting'
    if (isStarting && silent > BIRTH_TICKS) this.kernel.end(process, 'lease', 'it never said hello')
    else if (!isStarting && this.owes(process))
      this.kernel.end(process, 'lease', 'it did not confirm a change of its capabilities')
    else if (silent === 0 || process.state === 'suspended') this.silences.delete(process)
    else this.look(process, this.kernel.host.usage(process.pid))
  }
  /** One that has said nothing since and wants to run may not have been let. */
  private owes(process: Process): boolean {
    const ticks = Math.ceil(process.init.limits.leaseMs / TICK_MS)
    const owing = process.owing()
    if (owing <= ticks) return false
    const waitsForHost = process.silent >= owing && 'RD'.includes(this.kernel.host.usage(process.pid)?.state || '-')
    return !waitsForHost || owing > ticks * PATIENCE
  }
  private look(process: Process, usage: Usage | undefined): void {
    const ticks = Math.ceil(process.init.limits.leaseMs / TICK_MS)
    const { silent } = process
    const silence = this.silenceOf(process, usage)
    silence.stopped = usage?.state === 'T' || usage?.state === 't' ? silence.stopped + 1 : 0
    if (silence.stopped >= ticks) return this.kernel.end(process, 'lease', 'it was stopped')
    if (process.state === 'starting') return
    const used = (usage?.cpuMs ?? 0) - silence.cpuMs
    if (silence.asked === undefined) {
      if (used > 0 || silent >= (ticks * PATIENCE) / 2) this.ask(process, silence, used)
    } else if (silent > ticks * PATIENCE || (silent - silence.asked > ticks && used > process.init.limits.leaseMs / 2))
      this.kernel.end(process, 'lease', 'it hung')
  }
  private silenceOf(process: Process, usage: Usage | undefined): Silence {
    let silence = this.silences.get(process)
    if (!silence) this.silences.set(process, (silence = { cpuMs: usage?.cpuMs ?? 0, stopped: 0 }))
    return silence
  }
  private ask(process: Process, silence: Silence, used: number): void {
    silence.asked = process.silent
    silence.cpuMs += used
    process.tell(encode(KIND.PING, 0, 0, 0, 0, null))
  }
}
