/**
 * The shape of the files a system is described by: launch.json, and beside each image its device.json, driver.json or
 * service.json. Anything not named here is an error.
 *
 *   SHAPES                             LaunchFile DeviceFile NeedsFile, as JSON Schema; fits.generated.ts is made of them
 *   writeSchemas(directory)            the same as files, for completion in an editor
 *
 * Every node whose text a person may get wrong says in `expects` what belongs there. What is between values – overlaps,
 * names that lead nowhere, sums – is check.ts's.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Type, { type Static, type TSchema } from 'typebox'

const closed = { additionalProperties: false }
/** A name becomes part of file, socket and process names. */
const NAME = '^[a-z][a-z0-9-]{0,31}$'

export const Size = Type.Union(
  [Type.String({ pattern: '^[0-9]{1,9} (B|KiB|MiB|GiB)$' }), Type.Integer({ minimum: 0 })],
  {
    expects: 'a size such as "64 MiB" (B, KiB, MiB or GiB) or a number of bytes',
  },
)
export const Address = Type.Union(
  [Type.String({ pattern: '^0x[0-9a-fA-F]{1,13}$' }), Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })],
  { expects: 'a number such as "0x60" or 96' },
)
const Irq = Type.Integer({ minimum: 0, maximum: 255, expects: 'an interrupt number from 0 to 255' })
const Name = Type.String({ pattern: NAME, expects: 'a name: lower-case letters, digits and "-", at most 32' })
/** Handed to the image or to the root task as it is. */
const Opaque = Type.Record(Type.String(), Type.Unknown(), { expects: 'an object' })
const byName = <T extends TSchema>(value: T) =>
  Type.Record(Type.String({ pattern: NAME }), value, { ...closed, expects: 'an object whose keys are names' })
const flag = Type.Boolean({ expects: 'true or false' })

const Ports = Type.Array(Type.Object({ first: Address, last: Address }, closed), {
  maxItems: 64,
  expects: 'a list of { "first", "last" }',
})
const Ranges = Type.Array(Type.Object({ base: Address, length: Size }, closed), {
  maxItems: 16,
  expects: 'a list of { "base", "length" }',
})
const assignedOr = <T extends TSchema>(list: T, of: string) =>
  Type.Union([Type.Literal('assigned'), list], { expects: `"assigned" or a list of ${of}` })

/** An editor completes keys and shows what they mean by it; nothing else reads it. */
const ForEditors = Type.Optional(Type.String({ expects: "the path of the file's schema" }))

/** What a process may use up; absent keys have the defaults of limits.ts. */
const Limits = Type.Partial(
  Type.Object({
    /** V8's heap; a process that needs more dies of it. */
    heap: Size,
    /** Its memory besides: buffers, libraries; a process that has more is ended. */
    data: Size,
    /** Memory of banks it has mapped, arenas included; one page more is seL4_NotEnoughMemory. */
    mapped: Size,
    /** How long it may be silent before it counts as hung and is ended. */
    leaseMs: Type.Integer({ minimum: 0, expects: 'a number of milliseconds' }),
    /** Capability slots of its CSpace; one more is seL4_NotEnoughMemory. */
    capabilities: Type.Integer({ minimum: 0, expects: 'a number of capabilities' }),
    /** Messages it may have on their way in one session; the next one waits. */
    credits: Type.Integer({ minimum: 0, expects: 'a number of messages' }),
    /** Messages it may send to the kernel before it listens to an answer; one that sends on is ended. */
    requests: Type.Integer({ minimum: 0, expects: 'a number of messages' }),
    /** Percent of one processor; a process that uses more is stopped for as long as it takes. Absent: as the host gives. */
    cpuShare: Type.Integer({ minimum: 0, expects: 'a percentage of one processor' }),
  }),
  closed,
)

/** Bases of this instance, in place of device.json's: for a second controller of one kind. */
const Override = Type.Partial(
  Type.Object({
    ports: Type.Array(Address, { maxItems: 64, expects: 'a list of first ports' }),
    irqs: Type.Array(Irq, { maxItems: 16, expects: 'a list of interrupt numbers' }),
    mmio: Type.Array(Address, { maxItems: 16, expects: 'a list of base addresses' }),
    memory: Type.Array(Address, { maxItems: 16, expects: 'a list of base addresses' }),
  }),
  closed,
)

export const LaunchFile = Type.Object(
  {
    $schema: ForEditors,
    machine: Type.Union([Type.Literal('pc')], { expects: '"pc"' }),
    /** Every message through the kernel. */
    slowpath: Type.Optional(flag),
    /** Every interrupt through the kernel. */
    slowirq: Type.Optional(flag),
    banks: byName(Type.Object({ bytes: Size }, closed)),
    devices: byName(
      Type.Object(
        {
          image: Name,
          device: Type.Optional(Override),
          limits: Type.Optional(Limits),
          config: Type.Optional(Opaque),
        },
        closed,
      ),
    ),
    cables: byName(
      Type.Object(
        {
          server: Type.String({ pattern: NAME, expects: 'the name of one process: a cable has one server' }),
          interface: Type.String({ pattern: '^[A-Z][A-Za-z0-9]{0,63}$', expects: "an interface's name" }),
          clients: Type.Array(Name, { minItems: 1, maxItems: 16, expects: 'a list of process names' }),
        },
        closed,
      ),
    ),
    panel: Type.Optional(
      Type.Object(
        { image: Name, terminal: Type.Optional(flag), limits: Type.Optional(Limits), config: Type.Optional(Opaque) },
        closed,
      ),
    ),
    root: Type.Object(
      {
        image: Name,
        /** Banks whose untyped memory the root task gets. */
        banks: Type.Array(Name, { maxItems: 32, expects: 'a list of bank names' }),
        /** Devices the root task drives itself: never assigned to a driver. */
        devices: Type.Optional(Type.Array(Name, { maxItems: 32, expects: 'a list of device names' })),
        config: Type.Optional(Opaque),
        limits: Type.Optional(Limits),
      },
      { ...closed, expects: 'the root task: { "image", "banks" }' },
    ),
    images: byName(
      Type.Object(
        {
          image: Name,
          arena: Type.Optional(Size),
          bank: Type.Optional(Name),
          limits: Type.Optional(Limits),
          config: Type.Optional(Opaque),
          nt: Type.Optional(Opaque),
        },
        closed,
      ),
    ),
  },
  { ...closed, title: 'launch.json', expects: 'an object' },
)

export const DeviceFile = Type.Object(
  {
    $schema: ForEditors,
    ports: Ports,
    irqs: Type.Array(
      Type.Object(
        {
          irq: Irq,
          trigger: Type.Union([Type.Literal('edge'), Type.Literal('level'), Type.Literal('msi')], {
            expects: '"edge", "level" or "msi"',
          }),
          /** May share its line with other devices; only a level-triggered line can. */
          shared: Type.Optional(flag),
        },
        closed,
      ),
      { maxItems: 16, expects: 'a list of { "irq", "trigger" }' },
    ),
    mmio: Ranges,
    memory: Ranges,
    dma: flag,
  },
  { ...closed, title: 'device.json', expects: 'an object' },
)

/** driver.json and service.json: what an image needs. Absent means none. */
export const NeedsFile = Type.Object(
  {
    $schema: ForEditors,
    needs: Type.Partial(
      Type.Object({
        ports: assignedOr(Ports, '{ "first", "last" }'),
        irqs: assignedOr(Type.Array(Irq, { maxItems: 16 }), 'interrupt numbers'),
        mmio: assignedOr(Ranges, '{ "base", "length" }'),
        memory: assignedOr(Ranges, '{ "base", "length" }'),
        interfaces: Type.Array(Type.String({ pattern: '^[A-Z][A-Za-z0-9]{0,63}$', expects: "an interface's name" }), {
          maxItems: 16,
          expects: "a list of interfaces' names",
        }),
      }),
      closed,
    ),
    nt: Type.Optional(Opaque),
  },
  { ...closed, title: 'driver.json or service.json', expects: 'an object' },
)

export const SHAPES = { launch: LaunchFile, device: DeviceFile, needs: NeedsFile }
export type Shape = keyof typeof SHAPES
export type Launch = Static<typeof LaunchFile>
export type Device = Static<typeof DeviceFile>
export type Needs = Static<typeof NeedsFile>
export type Limit = Static<typeof Limits>

/** The schema files' names and texts. */
export function schemaFiles(): Readonly<Record<string, string>> {
  const text = (schema: TSchema): string =>
    `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', ...schema }, withoutExpects, 2)}\n`
  return {
    'launch.schema.json': text(LaunchFile),
    'device.schema.json': text(DeviceFile),
    'needs.schema.json': text(NeedsFile),
  }
}
/** An editor shows `description`; `expects` is no word of JSON Schema. */
function withoutExpects(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('expects' in value)) return value
  const { expects, ...rest } = value
  return { description: expects, ...rest }
}
export function writeSchemas(directory: string): void {
  for (const [name, text] of Object.entries(schemaFiles())) writeFileSync(join(directory, name), text)
}
