import { expect } from 'chai'
import fc from 'fast-check'
import Type, { type TSchema } from 'typebox'
import { Check } from 'typebox/value'
import {
  ARRAY,
  BOOLEAN,
  BYTES,
  type Field,
  fromWire,
  LARGE_INTEGER,
  LONG,
  MalformedError,
  NTSTATUS,
  OPTIONAL,
  STRING,
  STRUCT,
  toWire,
  UCHAR,
  ULONG,
  ULONGLONG,
  USHORT,
  VARIANT,
} from './field.ts'
import { INTERFACE, labelOf } from './interface.ts'
import { SystemServices } from './nt.ts'
import { decodeModules, decodeProcesses, encodeModules, encodeProcesses } from './sysinfo.ts'
import { DRIVER_PACKET, SERVER_PACKET, WdmServices } from './wdm.ts'

const POINT = STRUCT('POINT', { X: LONG, Y: OPTIONAL(LARGE_INTEGER) })
const SHAPE = VARIANT('SHAPE', {
  Dot: STRUCT('Dot', { At: POINT }),
  Line: STRUCT('Line', { Points: ARRAY(POINT, 4), Name: STRING(8) }),
})
const ALL = STRUCT('ALL', {
  A: UCHAR,
  B: USHORT,
  C: ULONG,
  D: BOOLEAN,
  E: BYTES(16),
  F: ARRAY(SHAPE, 3),
  G: OPTIONAL(SHAPE),
  H: ULONGLONG,
})

describe('fields', () => {
  const point = fc.record({ X: fc.integer(), Y: fc.option(fc.maxSafeInteger(), { nil: undefined }) })
  const shape = fc.oneof(
    fc.record({ kind: fc.constant('Dot' as const), At: point }),
    fc.record({
      kind: fc.constant('Line' as const),
      Points: fc.array(point, { maxLength: 4 }),
      Name: fc.string({ maxLength: 8 }),
    }),
  )
  const all = fc.record({
    A: fc.nat(255),
    B: fc.nat(65535),
    C: fc.nat(),
    D: fc.boolean(),
    E: fc.uint8Array({ maxLength: 16 }),
    F: fc.array(shape, { maxLength: 3 }),
    G: fc.option(shape, { nil: undefined }),
    H: fc.maxSafeNat(),
  })
  it('come back as they went', () => {
    fc.assert(
      fc.property(all, (value) => {
        const plain = JSON.parse(JSON.stringify({ ...value, E: [...value.E] }))
        const back = fromWire(ALL, toWire(ALL, value as never)) as typeof value
        expect(JSON.parse(JSON.stringify({ ...back, E: [...back.E] }))).to.deep.equal(plain)
      }),
    )
  })
  it('refuse what is out of their bounds', () => {
    const refuses = <T>(field: Field<T>, ...wires: unknown[]) => {
      for (const wire of wires)
        expect(() => fromWire(field, wire), `${field.kind} ${String(wire)}`).to.throw(MalformedError)
    }
    refuses(UCHAR, -1, 256, 1.5, '1', null, undefined, Number.NaN, 1n)
    refuses(NTSTATUS, -1, 2 ** 32)
    refuses(LARGE_INTEGER, 2 ** 53, Number.POSITIVE_INFINITY)
    refuses(STRING(3), 'abcd', '😀😀', 3, null)
    expect(fromWire(STRING(4), '😀😀')).to.equal('😀😀')
    refuses(BYTES(3), new Uint8Array(4), [1, 2], 'abc', null)
    refuses(BOOLEAN, 0, 1, 'true')
    refuses(ARRAY(UCHAR, 2), [1, 2, 3], [256], {}, 'ab')
    refuses(POINT, [1], [1, null, 3], [], {}, null, { X: 1, Y: null })
    refuses(SHAPE, [2, []], [0, [[1]]], [1, [[1, null]]], ['Dot', [[1, null]]], [0])
    refuses(SHAPE, ...[-1, 0.5, '0', 'length', '__proto__', null].map((number) => [number, [[1, null]]]))
  })
  it('never let an arbitrary message through as something it is not', () => {
    for (const field of [ALL, SERVER_PACKET, DRIVER_PACKET] as Field<unknown>[]) {
      fc.assert(
        fc.property(fc.anything({ maxDepth: 4 }), (wire) => {
          try {
            fromWire(field, wire)
          } catch (error) {
            expect(error).to.be.instanceOf(MalformedError)
          }
        }),
      )
    }
  })
})

/** A field and what TypeBox says of the same wire form. */
interface Twin {
  readonly field: Field<any>
  readonly schema: TSchema
}
const integers: Twin[] = [
  [UCHAR, 0, 255] as const,
  [LONG, -0x80000000, 0x7fffffff] as const,
  [LARGE_INTEGER, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER] as const,
].map(([field, minimum, maximum]) => ({ field, schema: Type.Integer({ minimum, maximum }) }))
const leaves: Twin[] = [
  ...integers,
  { field: BOOLEAN, schema: Type.Boolean() },
  { field: STRING(2), schema: Type.String({ maxLength: 2 }) },
  {
    field: BYTES(2),
    schema: Type.Refine(Type.Unsafe({}), (value) => value instanceof Uint8Array && value.byteLength <= 2),
  },
]
const structOf = (twins: readonly Twin[]) =>
  STRUCT('S', Object.fromEntries(twins.map(({ field }, i) => [`f${i}`, field])))
const { twin } = fc.letrec<{ twin: Twin; struct: Twin }>((tie) => ({
  twin: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...leaves),
    tie('twin').map(({ field, schema }) => ({
      field: OPTIONAL(field),
      schema: Type.Union([schema, Type.Null()]) as TSchema,
    })),
    tie('twin').map(({ field, schema }) => ({
      field: ARRAY(field, 2),
      schema: Type.Array(schema, { maxItems: 2 }) as TSchema,
    })),
    tie('struct'),
    fc.array(tie('struct'), { minLength: 1, maxLength: 3 }).map((cases) => ({
      field: VARIANT(
        'V',
        Object.fromEntries(cases.map(({ field }, i) => [`c${i}`, field as ReturnType<typeof structOf>])),
      ),
      schema: Type.Union(cases.map(({ schema }, i) => Type.Tuple([Type.Literal(i), schema]))) as TSchema,
    })),
  ),
  struct: fc.array(tie('twin'), { maxLength: 3 }).map((twins) => ({
    field: structOf(twins),
    schema: Type.Tuple(twins.map(({ schema }) => schema)) as TSchema,
  })),
}))
const atom = fc.oneof(
  fc.constantFrom(0, 1, 255, 256, -1, 1.5, 2 ** 53, Number.NaN, null, undefined, true, '', 'ab', 'abc', {}),
  fc.uint8Array({ maxLength: 3 }),
)
const { wire } = fc.letrec((tie) => ({
  wire: fc.oneof({ maxDepth: 4 }, atom, fc.array(tie('wire'), { maxLength: 3 })),
}))

describe('checks', () => {
  it('say what TypeBox says of the same form', () => {
    let accepted = 0
    const agree = fc.property(twin, fc.array(wire, { minLength: 1, maxLength: 20 }), ({ field, schema }, wires) => {
      for (const value of wires) {
        expect(field.check(value), `${field.kind} ${fc.stringify(value)}`).to.equal(Check(schema, value))
        if (field.check(value)) accepted++
      }
    })
    fc.assert(agree, { numRuns: 1000 })
    expect(accepted).above(50)
  })
})

describe('interfaces', () => {
  it('know their methods by label, whatever the order', () => {
    for (const iface of [SystemServices, WdmServices]) {
      for (const [name, method] of Object.entries(iface.methods)) {
        expect(method.label).to.equal(labelOf(name))
        expect(iface.byLabel.get(method.label)).to.equal(method)
      }
    }
    expect([...SystemServices.byLabel.keys()].some((label) => WdmServices.byLabel.has(label))).to.equal(false)
    expect(INTERFACE('Empty', {}).byLabel.size).to.equal(0)
  })
})

describe('system tables', () => {
  it('come back as they went', () => {
    const row = fc.record({
      UniqueProcessId: fc.nat(),
      ImageName: fc.string({ maxLength: 40 }),
      HandleCount: fc.nat(),
      NumberOfThreads: fc.nat(9),
      WorkingSetSize: fc.maxSafeNat(),
      UserTime: fc.maxSafeNat(),
    })
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 5 }), (rows) => {
        expect(decodeProcesses(encodeProcesses(rows))).to.deep.equal(rows)
      }),
    )
    expect(decodeProcesses(encodeProcesses([]))).to.deep.equal([])
    const modules = [
      { FullPathName: '\\SystemRoot\\drivers\\pci.sys', ImageSize: 3 },
      { FullPathName: 'x'.repeat(300), ImageSize: 0 },
    ]
    expect(decodeModules(encodeModules(modules))).to.deep.equal([
      modules[0],
      { FullPathName: 'x'.repeat(255), ImageSize: 0 },
    ])
  })
})
