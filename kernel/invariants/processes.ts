/** Processes by name and by token; what is left of the dead. */
import { CNode } from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import type { Process } from '../process.ts'
import { VSpace } from '../vspace.ts'
import type { Survey } from './survey.ts'

export function* processes(all: Survey, quiet: boolean): Generator<string> {
  const { kernel } = all
  const byToken = kernel['byToken']
  if (byToken.size !== kernel.processes.size) yield `${byToken.size} tokens for ${kernel.processes.size} processes`
  for (const [name, process] of kernel.processes) {
    yield* identity(all, name, process)
    yield* holdings(all, process)
  }
  for (const device of kernel.machine.devices.values()) {
    const { process } = device
    if (process && process.init.device !== device) yield `${process.name} is not the process of ${device.spec.name}`
    if (device.isAttached && !process?.alive) yield `${device.spec.name} is attached and its process is dead`
  }
  if (quiet) yield* remains(all)
}
function* identity({ kernel }: Survey, name: string, process: Process): Generator<string> {
  const { init, identities } = process
  if (process.name !== name) yield `${process.name} goes by the name of ${name}`
  if (kernel['byToken'].get(init.token) !== process) yield `the token of ${name} is not its own`
  if (kernel.births['generations'].get(name) !== init.generation) yield `${name} is not of its latest generation`
  if (!process.alive) return
  for (const token of identities.keys())
    if (!kernel['byToken'].has(token)) yield `${name} has an identity with one who is gone`
}
/** Its first thread and spaces are its own as long as it lives. */
function* holdings({ objects }: Survey, process: Process): Generator<string> {
  const { name, init, threads, receivesOn } = process
  for (const [number, thread] of threads) {
    if (thread.process !== process || thread.number !== number) yield `thread ${number} of ${name} is another's`
    if (!objects.has(thread)) yield `thread ${number} of ${name} is gone and still its own`
  }
  for (const endpoint of receivesOn) {
    if (!(endpoint instanceof Endpoint) || !objects.has(endpoint)) yield `${name} receives on an endpoint that is gone`
    else if (!endpoint.receivers.has(process)) yield `${name} believes it receives on ${endpoint.describe()}`
  }
  if (process.alive && init.vspace.process !== process) yield `the VSpace of ${name} is another's`
  if (process.alive && init.cspace.owner !== process) yield `the CSpace of ${name} is another's`
}
/** *Quiet*: nothing of a buried process is left. */
function* remains({ kernel, of }: Survey): Generator<string> {
  const living = new Set(kernel.processes.values())
  for (const owner of kernel.machine['shares'].keys())
    if (!living.has(owner)) yield `memory of ${owner.name} is shared, and it is buried`
  for (const { owner, id } of of(CNode))
    if (owner && !living.has(owner as Process)) yield `CNode ${id} is the CSpace of one who is buried`
  for (const space of of(VSpace))
    if (space.process && !living.has(space.process))
      yield `${space.describe()} is of ${space.process.name}, who is buried`
}
