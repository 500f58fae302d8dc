/**
 * A process's Environment, from what the kernel told it at birth: the same for real processes and in the simulator,
 * which differ only in transport, clock, chance, log and exit.
 *
 *   HELLO ──► kernel ── BOOT ──► connect() resolves with the Environment
 */
import type { Clock, Environment, Log, Random } from './api.ts'
import { DeviceMachine } from './device.ts'
import { KernelRootTask, mapMemory } from './root-task.ts'
import { Runtime } from './runtime.ts'
import { Threads } from './threads.ts'
import type { BootInfo, Extent, ProcessTransport } from './transport.ts'
import { ASK, decodeBody, encode, KIND, kindOf } from './wire.ts'

export interface Surroundings {
  readonly transport: ProcessTransport
  readonly clock: Clock
  readonly random: Random
  /** Milliseconds of a clock that all processes of one machine share, for traces; absent: the time of day. */
  readonly sharedClock?: () => number
  readonly logFor: (name: string) => Log
  readonly exit: (code: number, epitaph: string | undefined, runtime: Runtime) => never
  /** An error of ours outside main's own promise. */
  readonly die: (error: unknown, runtime: Runtime) => void
}

export function connect(around: Surroundings): Promise<Environment> {
  const { transport, clock, random } = around
  return new Promise((resolve, reject) => {
    const runtime: Runtime = new Runtime(
      transport,
      (error) => around.die(error, runtime),
      around.sharedClock ?? (() => clock.systemTime() / 10_000),
      () => random.next(),
    )
    let booted = false
    const gate = (message: Buffer) => {
      if (booted) return runtime.onGate(message)
      if (kindOf(message) !== KIND.BOOT) return
      booted = true
      try {
        resolve(build(around, runtime, decodeBody(message) as BootInfo))
      } catch (error) {
        reject(error as Error)
      }
    }
    transport.listen(gate, (identity, message) => runtime.onPeer(identity, message))
    transport.gate(encode(KIND.HELLO, 0, 0, 0, 0, null))
  })
}
function build(around: Surroundings, runtime: Runtime, boot: BootInfo): Environment {
  const { transport, clock, random } = around
  if (boot.tracing) runtime.tracer.enable(true)
  runtime.whenAsked(ASK.unmapMemory, (body) => transport.unmap((body as [Extent])[0]))
  const threads = new Threads(runtime, (error) => around.die(error, runtime))
  return {
    name: boot.name,
    birth: boot.birth,
    generation: boot.generation,
    caps: boot.caps,
    config: boot.config,
    ...(boot.arena && { arena: mapMemory(transport, boot.arena) }),
    sel4: runtime,
    libsel4: threads.first(),
    entry: (name, main) => threads.entry(name, main),
    clock,
    random,
    log: around.logFor(boot.name),
    copied: { bytes: 0, calls: 0 },
    exit: (code, epitaph) => around.exit(code, epitaph, runtime),
    ...(boot.manifest && { root: new KernelRootTask(runtime, boot.manifest, boot.numNodes) }),
    ...(boot.machine && { machine: new DeviceMachine(runtime, boot.machine) }),
  }
}
