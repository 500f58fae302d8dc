/**
 * How processes come to be: made with their spaces, furnished with what the manifest or the root task gives them, started by
 * the host, and told who they are once they have said hello.
 *
 *   all()                   cables, devices, panel, root task; answers with the root task
 *   startDevice, startPanel one of them again
 *   create(plan)            any process
 *   hello(process)          it listens
 */
import {
  CapProcessControl,
  FIRST_FREE_SLOT,
  seL4_CapInitThreadCNode,
  seL4_CapInitThreadTCB,
  seL4_CapInitThreadVSpace,
  seL4_CapIOPortControl,
  seL4_CapIRQControl,
  WORD_BITS,
} from '#contracts/sel4'
import { type Birth, Sel4Error } from '../lib/sel4/api.ts'
import type { BootInfo, MemoryExtent } from '../lib/sel4/transport.ts'
import { encode, KIND } from '../lib/sel4/wire.ts'
import { type Capability, CNode, derive, makeCapability, RIGHT } from './cspace.ts'
import type { Device } from './device.ts'
import { Endpoint } from './endpoint.ts'
import type { Frame } from './frame.ts'
import type { Kernel } from './kernel.ts'
import type { CheckedManifest, Limits } from './manifest/manifest.ts'
import { Process, type ProcessInit } from './process.ts'
import { MAX_PRIORITY, Tcb } from './tcb.ts'
import { VSpace } from './vspace.ts'

/** 2^16 capabilities: an Executive with many devices needs some thousands. */
const CSPACE_RADIX = 16

export interface Birthplan {
  readonly name: string
  readonly image: string
  readonly birth: Birth
  readonly kind: ProcessInit['kind']
  readonly config: Readonly<Record<string, unknown>>
  readonly terminal?: boolean
  /** Its first thread is left for somebody to resume. */
  readonly suspended?: boolean
  readonly limits: Limits
  readonly device?: Device
  /** Makes the CSpace's first contents; throws to call the birth off. */
  readonly furnish?: (process: Process) => void
}

export class Births {
  private readonly kernel: Kernel
  private readonly generations = new Map<string, number>()
  private readonly cables = new Map<string, Capability>()

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  all(): Process {
    const { kernel } = this
    for (const { name, server } of kernel.manifest.cables)
      this.cables.set(name, makeCapability(new Endpoint(kernel.id(), name), { origin: `cable of ${server}` }))
    for (const device of kernel.machine.devices.values()) this.startDevice(device, 'fresh')
    if (kernel.manifest.panel) this.startPanel('fresh')
    return this.root()
  }
  startDevice(device: Device, birth: Birth): void {
    const { name, image, config, limits } = device.spec
    device.process = this.create({ name, image, birth, kind: 'device', config, limits, device })
  }
  startPanel(birth: Birth): void {
    const { image, terminal, config, limits } = this.kernel.manifest.panel as NonNullable<CheckedManifest['panel']>
    this.create({ name: 'panel', image, birth, kind: 'panel', config, terminal, limits })
  }
  private root(): Process {
    const { image, config, limits } = this.kernel.manifest.root
    return this.create({
      name: image,
      image,
      birth: 'fresh',
      kind: 'root',
      config,
      limits,
      furnish: (process) => {
        const { cspace } = process.init
        cspace.put(seL4_CapIRQControl, this.kernel.controls.irqControl)
        cspace.put(seL4_CapIOPortControl, this.kernel.controls.ioPortControl)
        cspace.put(CapProcessControl, this.kernel.controls.processControl)
        for (const [bank, cap] of this.kernel.machine.untypeds) process.install(`untyped.${bank}`, cap)
        for (const [device, cap] of this.kernel.machine.ioSpaces) process.install(`iospace.${device}`, cap)
      },
    })
  }
  /** Untyped_Retype of CNode, VSpace and TCB, TCB_Configure, CNode_Mint of what it is given, TCB_Resume. */
  create(plan: Birthplan): Process {
    const { name, limits } = plan
    if (this.kernel.isStopping) throw new Sel4Error('seL4_IllegalOperation', 'the system is stopping')
    if (this.kernel.processes.has(name)) throw new Sel4Error('seL4_DeleteFirst', `${name} is running`)
    const generation = (this.generations.get(name) ?? 0) + 1
    const token = this.kernel.host.secret()
    const address = this.kernel.host.newAddress()
    const cspace = new CNode(this.kernel.id(), CSPACE_RADIX, { firstFree: FIRST_FREE_SLOT, quota: limits.capabilities })
    const vspace = new VSpace(this.kernel.id(), this.kernel.waits)
    vspace.mappedMax = limits.mapped
    const tcb = new Tcb(this.kernel.id(), name)
    const process = new Process({ ...plan, generation, token, address, cspace, vspace, tcb }, (message) =>
      this.kernel.host.send(token, message),
    )
    try {
      this.enthrone(process)
      this.plugCables(process)
      plan.furnish?.(process)
      process.pid = this.kernel.host.start({
        name,
        image: plan.image,
        token,
        address,
        terminal: plan.terminal ?? false,
        heapBytes: limits.heap,
      })
    } catch (error) {
      this.kernel.burials.stillborn(process)
      throw error
    }
    if (!plan.suspended) tcb.resume()
    this.generations.set(name, generation)
    this.kernel.admit(process)
    return process
  }
  /** The first thread and its spaces, at their well-known slots. */
  private enthrone(process: Process): void {
    const { cspace, vspace, tcb } = process.init
    const guardBits = WORD_BITS - CSPACE_RADIX
    cspace.put(seL4_CapInitThreadTCB, makeCapability(tcb))
    const root = makeCapability(cspace, { guardBits })
    const space = makeCapability(vspace)
    cspace.put(seL4_CapInitThreadCNode, root)
    cspace.put(seL4_CapInitThreadVSpace, space)
    cspace.owner = process
    vspace.process = process
    process.onBegin = () => {
      if (process.state === 'suspended') this.bear(process)
    }
    process.onLost = () => this.kernel.end(process, 'fault', 'its first thread was destroyed')
    const origin = 'birth'
    tcb.setSpace(derive(root, { origin }), derive(space, { origin }))
    tcb.priority = tcb.mcp = MAX_PRIORITY
  }
  private plugCables(process: Process): void {
    for (const { name, server, clients } of this.kernel.manifest.cables) {
      const isServer = process.name === server
      if (!isServer && !clients.includes(process.name)) continue
      const source = this.cables.get(name) as Capability
      const rights = isServer ? RIGHT.read : RIGHT.write | RIGHT.grantReply
      process.install(
        name,
        makeCapability(source.object, { rights, revocable: false, origin: 'manifest', parent: source }),
      )
    }
  }
  hello(process: Process): void {
    if (process.state !== 'starting') return this.kernel.end(process, 'fault', 'a second birth')
    if (process.init.tcb.state === 'running') this.bear(process)
    else process.state = 'suspended'
  }
  private bear(process: Process): void {
    process.state = 'running'
    process.tell(encode(KIND.BOOT, 0, 0, 0, 0, this.bootInfo(process)))
    process.born()
  }
  private bootInfo({ init, names, arena }: Process): BootInfo {
    const mapping = arena && init.vspace.mappings.find(({ cap }) => cap === arena)
    const frame = arena?.object as Frame | undefined
    const extent: MemoryExtent | undefined = mapping &&
      frame && { ...frame.extent(), physicalAddress: frame.physicalAddress, virtualAddress: mapping.virtualAddress }
    return {
      name: init.name,
      generation: init.generation,
      birth: init.birth,
      caps: names,
      config: init.config,
      tracing: this.kernel.tracing,
      ...(extent && { arena: extent }),
      ...(init.kind === 'root' && { manifest: this.kernel.view, numNodes: this.kernel.host.numNodes }),
      ...(init.device && { machine: init.device.info(this.kernel.machine.banks()) }),
    }
  }
}
