/** The invariant checker: a sound kernel is clean, and each thing that can be wrong is said in a sentence of its own. */
import { OBJECT_TYPE, RIGHTS } from '#contracts/sel4'
import { expect } from 'chai'
import type { Main } from '../../lib/sel4/api.ts'
import { Simulator } from '../../lib/sel4/sim.ts'
import { type Capability, derive, makeCapability, remove } from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import type { Kernel } from '../kernel.ts'
import type { ManifestFiles } from '../manifest/files.ts'
import { parseManifest, viewOf } from '../manifest/index.ts'
import { Notification } from '../notification.ts'
import type { Process } from '../process.ts'
import type { Session } from '../session.ts'
import type { Tcb } from '../tcb.ts'
import type { MemoryRegion, Untyped } from '../untyped.ts'
import { checkInvariants, isQuiet } from './index.ts'

const DEVICE = {
  ports: [{ first: '0x300', last: '0x307' }],
  irqs: [{ irq: 24, trigger: 'msi' }],
  mmio: [],
  memory: [],
  dma: true,
}
const LAUNCH = {
  machine: 'pc',
  banks: { drivers: { bytes: '8 MiB' } },
  devices: { chip: { image: 'chip' } },
  cables: {},
  root: { image: 'executive', banks: ['drivers'] },
  images: { client: { image: 'client', arena: '2 MiB', bank: 'drivers' } },
}
const files: ManifestFiles = {
  description: (kind, image) => ({
    file: `${image}.json`,
    text: JSON.stringify(
      kind === 'device' ? DEVICE : { needs: { interfaces: ['ExecutiveServices'], ports: [], irqs: [24] } },
    ),
  }),
  exists: () => true,
}
const chip: Main = async (env) => env.machine?.attach({ reset() {} })
/** Slots of the executive's own objects. */
const SLOT = {
  untyped: 0x100,
  endpoint: 0x101,
  badged: 0x102,
  tcb: 0x103,
  notification: 0x104,
  frame: 0x105,
  tables: 0x106,
}
const VADDR = 0x4000_0000
const executive: Main = async (env) => {
  const { root, libsel4: sel4, caps, sel4: runtime } = env
  const make = (type: keyof typeof OBJECT_TYPE, slot: number, bits = 0, from: number = SLOT.untyped) =>
    sel4.Untyped_Retype(from, OBJECT_TYPE[type], bits, 2, 0, 0, slot, 1)
  env.entry('receive', async (thread) => void (await thread.Recv(SLOT.endpoint)))
  const served = await root!.endpoint()
  void runtime.recv(served)
  const { arena } = await root!.spawn({
    image: 'client',
    birth: 'fresh',
    caps: { executive: { from: served, badge: 3 }, irq: { from: await root!.irqHandler(24) } },
    arenaBytes: 2 << 20,
    config: {},
  })
  await root!.dmaMap('chip', arena!, 'readwrite')
  await make('seL4_UntypedObject', SLOT.untyped, 20, caps['untyped.drivers'])
  await make('seL4_EndpointObject', SLOT.endpoint)
  await sel4.CNode_Mint(2, SLOT.badged, 32, 2, SLOT.endpoint, 32, RIGHTS.write, 7)
  await make('seL4_TCBObject', SLOT.tcb)
  await sel4.TCB_Configure(SLOT.tcb, 0, 2, 0, 3, 0, 0, 0)
  await make('seL4_NotificationObject', SLOT.notification)
  await sel4.TCB_BindNotification(SLOT.tcb, SLOT.notification)
  await make('seL4_X86_4K', SLOT.frame)
  await make('seL4_X86_PDPTObject', SLOT.tables)
  await make('seL4_X86_PageDirectoryObject', SLOT.tables + 1)
  await make('seL4_X86_PageTableObject', SLOT.tables + 2)
  await sel4.X86_PDPT_Map(SLOT.tables, 3, VADDR, 0)
  await sel4.X86_PageDirectory_Map(SLOT.tables + 1, 3, VADDR, 0)
  await sel4.X86_PageTable_Map(SLOT.tables + 2, 3, VADDR, 0)
  await sel4.X86_Page_Map(SLOT.frame, 3, VADDR, RIGHTS.all, 0)
  await sel4.TCB_WriteRegisters(SLOT.tcb, 1, 'receive', [])
  env.log.info('ready')
}
const client: Main = async ({ sel4, caps }) => {
  const notification = await sel4.makeNotification()
  await sel4.irqSetNotification(caps.irq, notification)
  void sel4.wait(notification)
  await sel4.call(caps.executive, 1, [])
}

/** A small system at rest, with one of everything. */
async function atRest(slowpath = false): Promise<Simulator> {
  const manifest = parseManifest('launch.json', JSON.stringify({ ...LAUNCH, slowpath }), files)
  const sim = new Simulator({ seed: 3, manifest, view: viewOf(manifest), images: { chip, executive, client } })
  sim.boot()
  await sim.runUntil(() => sim.said('executive', 'ready').length > 0)
  await sim.run(100)
  return sim
}
const processOf = (kernel: Kernel, name: string): Process => kernel.processes.get(name) as Process
const at = (kernel: Kernel, slot: number): Capability => {
  const cap = processOf(kernel, 'executive').init.cspace.at(slot)
  if (!cap) throw new Error(`nothing in slot ${slot}`)
  return cap
}
const tcbIn = (kernel: Kernel): Tcb => at(kernel, SLOT.tcb).object as Tcb
const endpointIn = (kernel: Kernel): Endpoint => at(kernel, SLOT.endpoint).object as Endpoint
const notificationIn = (kernel: Kernel): Notification => at(kernel, SLOT.notification).object as Notification
const untypedIn = (kernel: Kernel): Untyped => at(kernel, SLOT.untyped).object as Untyped
const bankIn = (kernel: Kernel): Untyped => kernel.machine.untypeds.get('drivers')?.object as Untyped
const sessionIn = (kernel: Kernel): Session => [...processOf(kernel, 'client').sessionsOut][0]
const irqSessionIn = (kernel: Kernel): Session => [...processOf(kernel, 'chip').sessionsOut][0]
const set = (target: object, values: object): void => void Object.assign(target, values)

/** What is made wrong, and the sentence that says so. */
const WRONGS: readonly (readonly [string, (kernel: Kernel) => void, RegExp])[] = [
  [
    'a child its parent does not know',
    (k) => at(k, SLOT.endpoint).children.clear(),
    /Endpoint .* slot 258 .* is no child of its parent/,
  ],
  ['a child of another', (k) => at(k, SLOT.frame).children.add(at(k, SLOT.badged)), /has a child of another/],
  [
    'a circle',
    (k) => {
      const [a, b] = [at(k, SLOT.endpoint), at(k, SLOT.badged)]
      a.parent?.children.delete(a)
      a.parent = b
      b.children.add(a)
    },
    /is its own ancestor/,
  ],
  [
    'a parent that is a copy',
    (k) => set(at(k, SLOT.endpoint), { revocable: false }),
    /derived from one that is no original/,
  ],
  ['more rights than the parent', (k) => set(at(k, SLOT.endpoint), { rights: 1 }), /more rights than its parent/],
  ['another badge than the parent', (k) => set(at(k, SLOT.endpoint), { badge: 9 }), /not its parent's badge/],
  [
    'an object that cannot come of its parent',
    (k) => {
      const [cap, other] = [at(k, SLOT.endpoint), at(k, SLOT.frame)]
      cap.parent?.children.delete(cap)
      set(cap, { parent: other })
      other.children.add(cap)
    },
    /Endpoint .* cannot come of memory/,
  ],
  ['a reference too many', (k) => endpointIn(k).references++, /counts 3 capabilities; 2 name it/],
  [
    'a deleted capability in a slot',
    (k) => {
      const cap = at(k, SLOT.badged)
      const { cnode, index } = cap
      remove(cap)
      cnode?.['slots'].set(index, cap)
    },
    /was deleted and is still held/,
  ],
  [
    "a capability in nobody's hands",
    (k) => void derive(at(k, SLOT.endpoint), { origin: 'test' }),
    /in nobody's hands \(test\)/,
  ],
  [
    "a slot that is another's",
    (k) => set(at(k, SLOT.badged), { index: 5 }),
    /slot 258 of CNode \d+ holds a capability that stands elsewhere/,
  ],
  ['more capabilities than allowed', (k) => set(processOf(k, 'executive').init.cspace, { quota: 3 }), /may hold 3$/m],
  ['memory that nobody has', (k) => bankIn(k)['free'].pop(), /ends at 0x|nobody has/],
  ['memory that two have', (k) => bankIn(k)['free'].unshift({ offset: 0, bytes: 4096 }), /two have what lies before/],
  ['an object above the watermark', (k) => set(untypedIn(k), { watermark: 64 }), /lies above the watermark/],
  [
    'two objects in one place',
    (k) => set(at(k, SLOT.frame).object.region as MemoryRegion, { offset: untypedIn(k)['offset'] }),
    /two objects share/,
  ],
  ['a count of objects that is wrong', (k) => set(untypedIn(k), { living: 99 }), /counts 99 objects alive in it/],
  [
    'a frame mapped without its capability',
    (k) => {
      const cap = at(k, SLOT.frame)
      cap.unmap = undefined
      remove(cap)
    },
    /is mapped at 0x40000000 of VSpace .* without a capability in a CSpace/,
  ],
  [
    'a mapping its capability does not know',
    (k) => set(at(k, SLOT.frame), { unmap: undefined }),
    /knows nothing of it/,
  ],
  [
    'a capability that believes it is mapped',
    (k) => set(at(k, SLOT.badged), { unmap() {} }),
    /believes it is mapped and is not/,
  ],
  [
    'an arena without its capability',
    (k) => {
      const { vspace } = processOf(k, 'client').init
      vspace.mappings = vspace.mappings.map((mapping) => ({ ...mapping, cap: { ...mapping.cap, cnode: undefined } }))
    },
    /an arena is mapped .* without its capability/,
  ],
  [
    'DMA into memory that is gone',
    (k) => k.machine.device('chip').grant({ physicalAddress: 0, length: 4096, access: 'read' }),
    /reaches 0x0 \+0x1000, which is no living frame/,
  ],
  [
    'an IOMMU that allows more than was granted',
    (k) => k.machine.device('chip')['table']?.grant(0, 4096, 'read'),
    /IOMMU of chip differs from what was granted, at word 0/,
  ],
  [
    'a queued thread that is not blocked',
    (k) => tcbIn(k).unblock(),
    /queued at Endpoint .* and waits for something else/,
  ],
  ['a blocked thread in no queue', (k) => set(endpointIn(k), { waiting: [] }), /is in no queue/],
  ['a thread in two queues', (k) => endpointIn(k)['waiting'].push(endpointIn(k)['waiting'][0]), /queued twice/],
  ['a suspended thread in a queue', (k) => set(tcbIn(k), { state: 'suspended' }), /TCB of .*, suspended is queued at/],
  [
    'both sides waiting',
    (k) => endpointIn(k).senders.push(endpointIn(k)['waiting'][0] as never),
    /wait for each other/,
  ],
  [
    'a binding known to one side',
    (k) => set(tcbIn(k), { bound: undefined }),
    /is bound to TCB .*, which is not bound to it/,
  ],
  [
    'a binding known to the other side',
    (k) => set(notificationIn(k), { bound: undefined }),
    /is bound to Notification \d+, which is not bound to it/,
  ],
  [
    'a notification the machine does not know',
    (k) => k.machine.notifications.delete(notificationIn(k)),
    /is not known to the machine/,
  ],
  [
    'a notification the machine still knows',
    (k) => k.machine.notifications.add(new Notification(999)),
    /999 is gone and still known/,
  ],
  [
    'a signal nobody is given',
    (k) => {
      for (const one of k.machine.notifications) if (one['waiters'].length) set(one, { word: 1 })
    },
    /was signalled and has waiters/,
  ],
  [
    'an interrupt to nowhere',
    (k) => set(k.machine.irqHandler(24).bind(makeCapability(new Notification(998))), { index: -2 }),
    /Notification 998 held by the kernel was deleted and is still held/,
  ],
  [
    'a thread its process does not know',
    (k) => tcbIn(k).process?.threads.delete(tcbIn(k).number),
    /is not thread \d+ of executive/,
  ],
  ['a session without capability', (k) => set(sessionIn(k).cap, { index: -2 }), /has no capability in a CSpace/],
  ['a session that outlives its capability', (k) => sessionIn(k).cap.onDelete?.clear(), /would outlive a capability/],
  ['a session without the right to send', (k) => set(sessionIn(k).cap, { rights: 1 }), /may not send/],
  ['a session the sender does not know', (k) => processOf(k, 'client').sessionsOut.clear(), /not known to its sender/],
  [
    'a session the receiver does not know',
    (k) => processOf(k, 'executive').sessionsIn.clear(),
    /is not known to executive/,
  ],
  [
    'a session with who does not receive',
    (k) => (sessionIn(k).cap.object as Endpoint).receivers.clear(),
    /executive does not receive there/,
  ],
  [
    "an interrupt's session that is not its own",
    (k) => set(irqSessionIn(k), { cap: sessionIn(k).cap }),
    /goes along another's session/,
  ],
  ['a session nobody knows', (k) => k.sessions['sessions'].clear(), /sends on a stranger/],
  [
    'more messages than credits',
    (k) => set(sessionIn(k), { outstanding: 65 }),
    /65 messages under way; 64 are allowed/,
  ],
  [
    'answers that were never asked for',
    (k) => sessionIn(k).unanswered.set(1, processOf(k, 'executive')),
    /waits for \d answers and has/,
  ],
  ['a token of nobody', (k) => k['byToken'].clear(), /0 tokens for 3 processes/],
  [
    "a name that is another's",
    (k) => k.processes.set('other', processOf(k, 'client')),
    /client goes by the name of other/,
  ],
  [
    'a generation that is over',
    (k) => k.births['generations'].set('client', 7),
    /client is not of its latest generation/,
  ],
  [
    'an identity with the dead',
    (k) => processOf(k, 'client').identities.set('x', 'y'),
    /identity with one who is gone/,
  ],
  [
    'a receiver on what is gone',
    (k) => processOf(k, 'client').receivesOn.add(new Endpoint(997)),
    /receives on an endpoint that is gone/,
  ],
  [
    "a device of another's process",
    (k) => set(k.machine.device('chip'), { process: processOf(k, 'client') }),
    /client is not the process of chip/,
  ],
  [
    'an address space of the buried',
    (k) => {
      const process = processOf(k, 'client')
      processOf(k, 'executive').init.cspace.put(
        0x300,
        derive(process.init.cspace.at(3) as Capability, { origin: 'kept' }),
      )
      k.processes.delete('client')
      k['byToken'].delete(process.init.token)
    },
    /is of client, who is buried/,
  ],
]
describe('the invariant checker', () => {
  for (const slowpath of [false, true])
    it(`finds nothing wrong with a system at rest${slowpath ? ', slow path' : ''}`, async () => {
      const { kernel } = await atRest(slowpath)
      expect(isQuiet(kernel)).equal(true)
      expect(checkInvariants(kernel)).deep.equal({ quiet: true, broken: [] })
      expect(irqSessionIn(kernel) === undefined).equal(slowpath)
    })
  it('finds nothing wrong while a process is buried, and says that it is no time of rest', async () => {
    const sim = await atRest()
    sim.kill('client')
    await sim.runUntil(() => !processOf(sim.kernel, 'client').alive)
    for (let buried = false; !buried; buried = !sim.kernel.processes.has('client')) {
      expect(checkInvariants(sim.kernel)).deep.equal({ quiet: false, broken: [] })
      await sim.step()
    }
    await sim.run(50)
    expect(checkInvariants(sim.kernel)).deep.equal({ quiet: true, broken: [] })
  })
  for (const [what, spoil, sentence] of WRONGS)
    it(`says so: ${what}`, async () => {
      const { kernel } = await atRest()
      spoil(kernel)
      expect(checkInvariants(kernel).broken.join('\n')).match(sentence)
    })
})
