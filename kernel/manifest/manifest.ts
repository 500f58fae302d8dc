/**
 * A manifest as the kernel uses it: every text parsed, every default filled in, every file it came from remembered.
 * Made by load.ts, judged by check.ts, turned into ceilings by derive.ts.
 */
import type { MmioRange, PortRange } from '#sel4/api'

/** Arenas and banks are mapped in extents of 2 MiB: the size of a large page on every machine we know. */
export const EXTENT = 2 * 1024 * 1024

export interface Bank {
  readonly name: string
  readonly bytes: number
  readonly physicalAddress: number
}
export type Trigger = 'edge' | 'level' | 'msi'
export interface IrqLine {
  readonly irq: number
  readonly trigger: Trigger
  readonly shared: boolean
}
export interface ManifestDevice {
  readonly name: string
  readonly image: string
  readonly config: Readonly<Record<string, unknown>>
  readonly ports: readonly PortRange[]
  readonly irqs: readonly IrqLine[]
  readonly mmio: readonly MmioRange[]
  readonly memory: readonly MmioRange[]
  readonly dma: boolean
  readonly limits: Limits
  /** The device.json, as a message names it. */
  readonly file: string
  /** Problems of its own that only the two files together show: an override with too many bases. */
  readonly overrides: Readonly<Record<string, { given: number; declared: number }>>
}
export interface Cable {
  readonly name: string
  readonly server: string
  readonly interface: string
  readonly clients: readonly string[]
}
export interface Needs {
  readonly ports: readonly PortRange[] | 'assigned'
  readonly irqs: readonly number[] | 'assigned'
  readonly mmio: readonly MmioRange[] | 'assigned'
  readonly memory: readonly MmioRange[] | 'assigned'
  readonly interfaces: readonly string[]
}
/** As schema.ts describes each; sizes in bytes. */
export interface Limits {
  readonly heap: number
  readonly data: number
  readonly mapped: number
  readonly leaseMs: number
  readonly capabilities: number
  readonly credits: number
  readonly requests: number
  readonly cpuShare?: number
}
export interface ManifestImage {
  readonly name: string
  readonly image: string
  /** Bytes; 0 for none. */
  readonly arena: number
  readonly bank?: string
  readonly limits: Limits
  readonly config: Readonly<Record<string, unknown>>
  readonly needs: Needs
  /** driver.json's section overlaid with launch.json's; opaque to the kernel. */
  readonly nt?: Readonly<Record<string, unknown>>
  readonly file: string
}
export interface Manifest {
  /** The launch.json's name, as a message names it. */
  readonly file: string
  readonly machine: 'pc'
  readonly slowpath: boolean
  /** No interrupt goes from a device to its driver but through the kernel. */
  readonly slowirq: boolean
  readonly banks: readonly Bank[]
  readonly devices: readonly ManifestDevice[]
  readonly cables: readonly Cable[]
  readonly panel?: {
    readonly image: string
    readonly terminal: boolean
    readonly config: Readonly<Record<string, unknown>>
    readonly limits: Limits
  }
  readonly root: {
    readonly image: string
    readonly banks: readonly string[]
    readonly devices: readonly string[]
    readonly config: Readonly<Record<string, unknown>>
    readonly limits: Limits
  }
  readonly images: readonly ManifestImage[]
  /** Images that were found nowhere, with who asked for them. */
  readonly missing: readonly { readonly key: string; readonly image: string; readonly file: string }[]
}
/** The only kind the rest of the kernel takes: it has passed every rule. */
export type CheckedManifest = Manifest & { readonly checked: true }

/** Every problem found, one sentence each. */
export class ManifestError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ManifestError'
    this.problems = problems
  }
}

/** The panel's process name; the root task's is its image's. */
export const PANEL = 'panel'
