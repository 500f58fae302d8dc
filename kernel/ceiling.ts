/** What each process may ever be given, asked in the kernel's own objects. The rules are the manifest's (derive.ts). */
import { type KernelObject, rightNames } from './cspace.ts'
import { Endpoint } from './endpoint.ts'
import { DeviceFrame, Frame } from './frame.ts'
import { IoPort } from './ioport.ts'
import { IoSpace } from './iospace.ts'
import { Irq } from './irq.ts'
import { type Capability, type Ceilings, deriveCeilings, mayHold, ROOT_ENDPOINT } from './manifest/derive.ts'
import type { CheckedManifest } from './manifest/manifest.ts'
import { Notification } from './notification.ts'
import type { Process } from './process.ts'

export class Ceiling {
  private readonly ceilings: Ceilings
  /** Image folder → the manifest's names of it: a spare instance has its image's ceiling. */
  private readonly manifest: CheckedManifest

  constructor(manifest: CheckedManifest) {
    this.manifest = manifest
    this.ceilings = deriveCeilings(manifest)
  }
  allows({ name, init }: Process, object: KernelObject, rights: number): boolean {
    const wanted = asCapability(object, rights)
    if (!wanted) return false
    const known = this.ceilings.has(name) ? name : this.manifest.images.find(({ image }) => image === init.image)?.name
    return known !== undefined && mayHold(this.ceilings, known, wanted)
  }
}
function asCapability(object: KernelObject, rights: number): Capability | undefined {
  if (object instanceof Endpoint)
    return { kind: 'endpoint', name: object.label || ROOT_ENDPOINT, rights: rightNames(rights) }
  if (object instanceof Notification) return { kind: 'notification' }
  if (object instanceof IoPort) return { kind: 'ioPort', first: object.first, last: object.last }
  if (object instanceof Irq) return { kind: 'irqHandler', irq: object.irq }
  if (object instanceof DeviceFrame) return { kind: 'deviceFrame', base: object.physicalAddress, length: object.bytes }
  if (object instanceof IoSpace) return { kind: 'dma', device: object.device.spec.name }
  if (object instanceof Frame) return { kind: 'memory', bank: object.bank, bytes: object.bytes }
  return undefined
}
