/**
 * What a process may ask of the kernel, by operation number. Arguments are untrusted: each is checked here, once. A refusal is a
 * Sel4Error, which the gate turns into the answer.
 */
import {
  CapProcessControl,
  seL4_CapInitThreadCNode,
  seL4_CapInitThreadTCB,
  seL4_CapInitThreadVSpace,
  seL4_CapIOPortControl,
  seL4_CapIRQControl,
} from '#contracts/sel4'
import type { ProcessInfo, Sel4Right } from '../lib/sel4/api.ts'
import { Sel4Error } from '../lib/sel4/api.ts'
import { ASK, OP } from '../lib/sel4/wire.ts'
import { ALL_RIGHTS, type Capability, derive, hangOn, makeCapability, remove, RIGHT, rightsOf, walk } from './cspace.ts'
import type { Device } from './device.ts'
import { Endpoint } from './endpoint.ts'
import type { Frame } from './frame.ts'
import type { Usage } from './host.ts'
import { adoptCaller, cancelCaller } from './ipc.ts'
import { type Control, Irq } from './irq.ts'
import type { Kernel } from './kernel.ts'
import { revokeAll } from './methods/cnode.ts'
import type { Process } from './process.ts'
import type { Tcb } from './tcb.ts'

type Invocation = (kernel: Kernel, process: Process, body: unknown, thread: Tcb) => unknown

const invalid = (what: string): never => {
  throw new Sel4Error('seL4_InvalidArgument', what)
}
class Args {
  private readonly items: unknown[]
  constructor(body: unknown) {
    this.items = Array.isArray(body) ? body : []
  }
  number(index: number): number {
    const value = this.items[index]
    return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : invalid(`argument ${index}`)
  }
  text(index: number): string {
    const value = this.items[index]
    return typeof value === 'string' && value.length <= 256 ? value : invalid(`argument ${index}`)
  }
  at(index: number): unknown {
    return this.items[index]
  }
}
const record = (value: unknown, what: string): Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : invalid(what)
function badgeOf(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff
    ? (value as number)
    : invalid('badge')
}
function rightsGiven(value: unknown): number {
  if (value === null || value === undefined) return ALL_RIGHTS
  const known = Array.isArray(value) && value.every((name) => typeof name === 'string' && name in RIGHT)
  return known ? rightsOf(value as Sel4Right[]) : invalid('rights')
}
/** Who is given an endpoint without a word about rights may call it. */
function mintRights({ object, rights }: Capability, given: unknown): number {
  const fallback = object instanceof Endpoint ? RIGHT.write | RIGHT.grantReply : ALL_RIGHTS
  return rights & (given === null || given === undefined ? fallback : rightsGiven(given))
}
/** Who holds the control capability may, at the slot where the root task found it. */
const controlling =
  (slot: number, type: Control['type']) =>
  (invocation: Invocation): Invocation =>
  (kernel, process, body, thread) => {
    if (process.init.cspace.at(slot)?.object.type !== type)
      throw new Sel4Error('seL4_IllegalOperation', `only who holds ${type} may`)
    return invocation(kernel, process, body, thread)
  }
const ruling = controlling(CapProcessControl, 'ProcessControl')
const routing = controlling(seL4_CapIRQControl, 'IRQControl')
const issuing = controlling(seL4_CapIOPortControl, 'IOPortControl')

const openSession: Invocation = (kernel, process, body, thread) => {
  const args = new Args(body)
  return kernel.sessions.open(process, thread, args.number(0), args.at(1) === 1)
}
const exportCaller: Invocation = (kernel, process, body, thread) => {
  const args = new Args(body)
  const session = kernel.sessions.met(args.number(0))
  if (!session?.receivers.includes(process)) throw new Sel4Error('seL4_IllegalOperation', 'there is no caller')
  adoptCaller(kernel, thread, session, args.number(1))
  return null
}

const bindReceiver: Invocation = (kernel, process, body) => {
  const path = walk(process.init.tcb.cspaceRoot, new Args(body).number(0))
  const { object, rights } = path[path.length - 1]
  if (!(object instanceof Endpoint) || !(rights & RIGHT.read))
    throw new Sel4Error('seL4_InvalidCapability', 'no right to receive')
  if (object.meetsHere) throw new Sel4Error('seL4_IllegalOperation', 'threads receive on it')
  process.receivesOn.add(object)
  object.bind(process)
  hangOn(path, () => stopReceiving(kernel, process, object))
  // Several receive: from now on the kernel hands out what comes.
  if (object.receivers.size > 1) void kernel.sessions.move(kernel.sessions.on(object).filter(({ slow }) => !slow))
  return object.id
}
const cancelTaken: Invocation = (kernel, process, body) => {
  const args = new Args(body)
  const session = kernel.sessions.met(args.number(0))
  if (session?.receivers.includes(process)) cancelCaller(session, args.number(1))
  return null
}
/** Its right to receive is gone: callers hear that nobody serves them. */
function stopReceiving({ sessions }: Kernel, process: Process, endpoint: Endpoint): void {
  if (!process.receivesOn.delete(endpoint)) return
  endpoint.lose(process, false)
  for (const session of sessions.on(endpoint))
    if (session.receivers.includes(process)) void sessions.close(session, true)
}
const makeNotification: Invocation = (kernel, process) =>
  process.init.cspace.insert(makeCapability(kernel.machine.notification(), { origin: `made by ${process.name}` }))

function irqAt(process: Process, cptr: number): Irq {
  const { object } = process.lookup(cptr)
  if (object instanceof Irq) return object
  throw new Sel4Error('seL4_InvalidCapability', 'not an interrupt handler')
}
const irqAck: Invocation = (_kernel, process, body) => {
  irqAt(process, new Args(body).number(0)).acknowledge()
  return null
}
const irqSetNotification: Invocation = (kernel, process, body) => {
  const args = new Args(body)
  const handler = process.lookup(args.number(0))
  const irq = irqAt(process, args.number(0))
  const held = irq.bind(process.lookup(args.number(1)))
  kernel.directIrqs.bound(irq, { process, handler, held, cptr: args.number(1) })
  return null
}
const attachChip: Invocation = (kernel, { init }) => {
  if (!init.device) throw new Sel4Error('seL4_IllegalOperation', 'only a device has a chip')
  init.device.attach()
  kernel.directIrqs.ofDevice(init.device)
  return null
}

// ---------------------------------------------------------------- root task

const spawn: Invocation = async (kernel, root, body) => {
  const request = record(body, 'spawn request')
  const image = kernel.manifest.images.find(({ name }) => name === request.image)
  if (!image) throw new Sel4Error('seL4_InvalidArgument', `no image ${String(request.image)} in the manifest`)
  const name = typeof request.instance === 'string' ? request.instance : image.name
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) invalid('instance')
  const arenaBytes = (request.arenaBytes ?? 0) as number
  if (arenaBytes > image.arena) throw new Sel4Error('seL4_IllegalOperation', `${name}: arena above its ceiling`)
  const caps = Object.entries(record(request.caps ?? {}, 'caps'))
  await kernel.machine.roomFor(image.bank ?? '', arenaBytes)
  const process = kernel.births.create({
    name,
    image: image.image,
    birth: request.birth === 'restart' ? 'restart' : 'fresh',
    kind: 'image',
    config: { ...image.config, ...record(request.config ?? {}, 'config') },
    limits: image.limits,
    suspended: request.suspended === true,
    furnish: (child) => {
      for (const [key, mint] of caps) child.install(key, mintFor(kernel, root, child, record(mint, 'capability')))
      if (!arenaBytes) return
      giveArena(kernel, child, image.bank ?? '', arenaBytes)
      kernel.machine.share(child, child.arena as Capability, root)
    },
  })
  return { ...childInfo(process), ...(request.control === true && { caps: controlOf(root, process) }) }
}
function mintFor(kernel: Kernel, root: Process, child: Process, mint: Record<string, unknown>): Capability {
  const source = root.lookup(new Args([mint.from]).number(0))
  const rights = mintRights(source, mint.rights)
  if (!kernel.ceiling.allows(child, source.object, rights))
    throw new Sel4Error('seL4_IllegalOperation', `${source.object.describe()} is above the ceiling of ${child.name}`)
  return derive(source, { badge: badgeOf(mint.badge), rights, origin: `grant of ${root.name}` })
}
function giveArena(kernel: Kernel, child: Process, bank: string, bytes: number): void {
  child.arena = kernel.machine.frame(bank, bytes, 'arena')
  child.init.cspace.insert(child.arena)
  child.init.vspace.give(child.arena)
}
/** The root task sees its child's arena, under the child's address. */
function childInfo({ name, pid, arena, init }: Process): object {
  const { generation } = init
  if (!arena) return { name, pid, generation }
  const frame = arena.object as Frame
  const { virtualAddress } = init.vspace.mappings[0]
  return { name, pid, generation, arena: { ...frame.extent(), physicalAddress: frame.physicalAddress, virtualAddress } }
}
/** Who makes a process may hold its thread, CSpace and VSpace. */
function controlOf(root: Process, { name, init }: Process): object {
  const held = (slot: number) => {
    const cap = init.cspace.at(slot) as Capability
    return root.init.cspace.insert(derive(cap, { origin: `of ${name}` }))
  }
  return {
    tcb: held(seL4_CapInitThreadTCB),
    cnode: held(seL4_CapInitThreadCNode),
    vspace: held(seL4_CapInitThreadVSpace),
  }
}
const grant: Invocation = (kernel, root, body) => {
  const args = new Args(body)
  const child = kernel.processes.get(args.text(0))
  if (!child?.alive) throw new Sel4Error('seL4_InvalidArgument', `no process ${args.text(0)}`)
  const cap = mintFor(kernel, root, child, { from: args.at(1), badge: args.at(2), rights: args.at(3) })
  return child.init.cspace.insert(cap)
}
const revoke: Invocation = async (kernel, process, body) => {
  await revokeAll(kernel, process.lookup(new Args(body).number(0)))
  return null
}
const child = (kernel: Kernel, body: unknown): Process => {
  const process = kernel.processes.get(new Args(body).text(0))
  if (!process || process === kernel.root) throw new Sel4Error('seL4_InvalidArgument', 'no such process')
  return process
}
const resume: Invocation = (kernel, _root, body) => {
  child(kernel, body).init.tcb.resume()
  return null
}
const kill: Invocation = (kernel, _root, body) => {
  kernel.host.kill(child(kernel, body).pid, 'SIGKILL')
  return null
}
const allocate: Invocation = (kernel, root, body) => {
  const args = new Args(body)
  if (!kernel.manifest.root.banks.includes(args.text(0)))
    throw new Sel4Error('seL4_IllegalOperation', `bank ${args.text(0)} is not the root task's`)
  const cap = kernel.machine.frame(args.text(0), args.number(1), 'allocate')
  root.init.cspace.insert(cap)
  try {
    return root.init.vspace.give(cap)
  } catch (error) {
    remove(cap)
    throw error
  }
}
const issue =
  (make: (kernel: Kernel, args: Args) => Capability): Invocation =>
  (kernel, root, body) =>
    root.init.cspace.insert(make(kernel, new Args(body)))

/** The change is in force when the device has answered once more: nothing it began before is under way. */
async function confirmed(kernel: Kernel, device: Device): Promise<null> {
  await device.process?.ask(ASK.barrier, null)
  return null
}
const dmaMap: Invocation = (kernel, _root, body) => {
  const args = new Args(body)
  const [physicalAddress, length] = [args.number(1), args.number(2)]
  const access = args.text(3)
  if (access !== 'read' && access !== 'write' && access !== 'readwrite') return invalid('access')
  if (length === 0 || !kernel.machine.isRam(physicalAddress, length))
    throw new Sel4Error('seL4_RangeError', 'not memory')
  const device = kernel.machine.device(args.text(0))
  device.grant({ physicalAddress, length, access })
  return confirmed(kernel, device)
}
/** Unmapping what is not mapped is no error, as in seL4: its owner's death may have come first. */
const dmaUnmap: Invocation = (kernel, _root, body) => {
  const args = new Args(body)
  const device = kernel.machine.device(args.text(0))
  device.ungrant(args.number(1), args.number(2))
  return confirmed(kernel, device)
}
const resetDevice: Invocation = async (kernel, _root, body) => {
  const device = kernel.machine.device(new Args(body).text(0))
  for (;;) {
    await device.ready()
    if (device.lost) throw new Sel4Error('serverDied', device.spec.name)
    if ((await device.process?.ask(ASK.reset, null)) !== undefined) return null
  }
}
const shutdown: Invocation = (kernel, _root, body) => {
  const args = new Args(body)
  void kernel.shutdown(args.number(0), args.text(1))
  return null
}
/** Of /proc/PID/stat: what the kernel has not heard of, or not yet. */
const HOST_STATES: Readonly<Record<string, string>> = { T: 'stopped', t: 'stopped', Z: 'dead', X: 'dead' }
export const processList = (kernel: Kernel): ProcessInfo[] =>
  [...kernel.processes.values()].map((process) => {
    const { name, pid, state, init } = process
    const usage: Usage = kernel.host.usage(pid) ?? { cpuMs: 0, rssKb: 0, state: '' }
    const { cpuMs, rssKb, state: host, pid: inContainer = pid } = usage
    const shown = kernel.throttle.throttled(process) ? 'throttled' : (HOST_STATES[host] ?? state)
    return { name, pid: inContainer, generation: init.generation, state: shown, cpuMs, rssKb }
  })

export const INVOCATIONS: ReadonlyMap<number, Invocation> = new Map<number, Invocation>([
  [OP.openSession, openSession],
  [OP.exportCaller, exportCaller],
  [OP.cancelCaller, cancelTaken],
  [OP.bindReceiver, bindReceiver],
  [OP.makeNotification, makeNotification],
  [OP.irqAck, irqAck],
  [OP.irqSetNotification, irqSetNotification],
  [OP.attachChip, attachChip],
  [OP.spawn, ruling(spawn)],
  [OP.grant, ruling(grant)],
  [OP.revoke, revoke],
  [OP.resume, ruling(resume)],
  [OP.kill, ruling(kill)],
  [OP.allocate, ruling(allocate)],
  [
    OP.ioPort,
    issuing(
      issue((kernel, args) =>
        makeCapability(kernel.machine.ioPort(args.number(0), args.number(1)), {
          origin: 'IOPortControl_Issue',
          parent: kernel.controls.ioPortControl,
        }),
      ),
    ),
  ],
  [
    OP.irqHandler,
    routing(
      issue((kernel, args) =>
        makeCapability(kernel.machine.irqHandler(args.number(0)), {
          origin: 'IRQControl_Get',
          parent: kernel.controls.irqControl,
        }),
      ),
    ),
  ],
  [
    OP.deviceFrame,
    ruling(
      issue((kernel, args) =>
        makeCapability(kernel.machine.deviceFrame(args.number(0), args.number(1)), {
          origin: 'Untyped_Retype (device)',
          parent: kernel.controls.processControl,
        }),
      ),
    ),
  ],
  [
    OP.deviceMemory,
    ruling((kernel, _root, body) => {
      const args = new Args(body)
      return kernel.machine.deviceMemory(args.number(0), args.number(1))
    }),
  ],
  [OP.endpoint, ruling(issue((kernel) => makeCapability(new Endpoint(kernel.id()))))],
  [OP.notification, ruling(issue((kernel) => makeCapability(kernel.machine.notification())))],
  [OP.dmaMap, ruling(dmaMap)],
  [OP.dmaUnmap, ruling(dmaUnmap)],
  [OP.resetDevice, ruling(resetDevice)],
  [OP.shutdown, ruling(shutdown)],
  [
    OP.watchDeaths,
    ruling((kernel) => {
      kernel.watchDeaths()
      return null
    }),
  ],
  [OP.processes, ruling((kernel) => processList(kernel))],
])
