/**
 * Typed field lists: one value from which a type, a check, a wire order and a C layout follow.
 *
 *   STRUCT('NAME', { Field: ULONG, … })   a record; on the wire a positional array in declaration order
 *   OPTIONAL(t) ARRAY(t, max) BYTES(max) STRING(max) VARIANT(tag → STRUCT)
 *   Of<typeof X>      the TypeScript type of a value
 *   toWire(f, value)  value → msgpack-ready; the caller's own value, not checked
 *   fromWire(f, wire) checked wire → value; throws MalformedError, never returns a doubtful value
 *
 * Every variable-length field has a bound; LARGE_INTEGER is a safe integer inside, int64 in a C layout.
 */
import Type, { type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

/** C scalar of a layout: bytes, alignment follows from it. `pointer` is 4 or 8 by data model. */
export type CType = 'u8' | 'u16' | 'u32' | 'i32' | 'i64' | 'u64' | 'pointer' | 'none'

export interface Field<T> {
  readonly kind: string
  readonly c: CType
  readonly schema: TSchema
  /** Absent: the wire form is the value itself. */
  readonly encode?: (value: T) => unknown
  readonly decode?: (wire: never) => T
  readonly optional?: boolean
  /** Phantom: never present at run time. */
  readonly type?: T
}
export type Of<F> = F extends Field<infer T> ? T : never
export type Fields = Record<string, Field<any>>
type OptionalKeys<F extends Fields> = { [K in keyof F]: undefined extends Of<F[K]> ? K : never }[keyof F]
export type ValueOf<F extends Fields> = { [K in Exclude<keyof F, OptionalKeys<F>>]: Of<F[K]> } & {
  [K in OptionalKeys<F>]?: Of<F[K]>
}
export interface Struct<F extends Fields = Fields> extends Field<ValueOf<F>> {
  readonly name: string
  readonly fields: F
}

/** A message that is not what its contract says: the sender's fault, never the handler's. */
export class MalformedError extends Error {
  constructor(what: string) {
    super(`malformed ${what}`)
    this.name = 'MalformedError'
  }
}

const integer = (kind: string, c: CType, minimum: number, maximum: number): Field<number> => ({
  kind,
  c,
  schema: Type.Integer({ minimum, maximum }),
})
export const UCHAR = integer('UCHAR', 'u8', 0, 0xff)
export const USHORT = integer('USHORT', 'u16', 0, 0xffff)
export const ULONG = integer('ULONG', 'u32', 0, 0xffffffff)
export const LONG = integer('LONG', 'i32', -0x80000000, 0x7fffffff)
export const NTSTATUS = integer('NTSTATUS', 'u32', 0, 0xffffffff)
export const LARGE_INTEGER = integer('LARGE_INTEGER', 'i64', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
export const ULONGLONG = integer('ULONGLONG', 'u64', 0, Number.MAX_SAFE_INTEGER)
export const PHYSICAL_ADDRESS = integer('PHYSICAL_ADDRESS', 'i64', 0, Number.MAX_SAFE_INTEGER)
export const ULONG_PTR = integer('ULONG_PTR', 'pointer', 0, Number.MAX_SAFE_INTEGER)
/** An object handle of the calling process; 0 is no handle. */
export const HANDLE = integer('HANDLE', 'pointer', 0, 0xffffffff)
export const ACCESS_MASK = integer('ACCESS_MASK', 'u32', 0, 0xffffffff)
export const BOOLEAN: Field<boolean> = { kind: 'BOOLEAN', c: 'u8', schema: Type.Boolean() }

/** UTF-8 text, at most `max` UTF-16 units: a schema's maxLength would count characters as seen, of any number of units each. */
export const STRING = (max: number): Field<string> => ({
  kind: `STRING(${max})`,
  c: 'none',
  schema: Type.Refine(Type.String(), (value: unknown) => typeof value === 'string' && value.length <= max),
})
/** A page at most travels in a message; more goes by naming pages. */
export const INLINE_MAX = 4096
export const BYTES = (max: number = INLINE_MAX): Field<Uint8Array> => ({
  kind: `BYTES(${max})`,
  c: 'none',
  schema: Type.Refine(
    Type.Unsafe<Uint8Array>({}),
    (value: unknown) => value instanceof Uint8Array && value.byteLength <= max,
  ),
})
export const OPTIONAL = <T>(inner: Field<T>): Field<T | undefined> => ({
  kind: `OPTIONAL(${inner.kind})`,
  c: inner.c,
  schema: Type.Union([inner.schema, Type.Null()]),
  optional: true,
  encode: (value) => (value === undefined ? null : inner.encode ? inner.encode(value) : value),
  decode: (wire: unknown) => (wire === null ? undefined : inner.decode ? inner.decode(wire as never) : (wire as T)),
})
export const ARRAY = <T>(inner: Field<T>, max: number): Field<readonly T[]> => {
  const { encode, decode } = inner
  return {
    kind: `ARRAY(${inner.kind}, ${max})`,
    c: 'none',
    schema: Type.Array(inner.schema, { maxItems: max }),
    ...(encode && { encode: (value: readonly T[]) => value.map(encode) }),
    ...(decode && { decode: (wire: never) => (wire as unknown[]).map((item) => decode(item as never)) }),
  }
}
export const STRUCT = <F extends Fields>(name: string, fields: F): Struct<F> => {
  const names = Object.keys(fields)
  const codecs = names.map((key) => ({ key, encode: fields[key].encode, decode: fields[key].decode }))
  return {
    kind: name,
    name,
    fields,
    c: 'none',
    schema: Type.Tuple(names.map((key) => fields[key].schema)),
    encode(value) {
      const source = value as Record<string, unknown>
      const wire = new Array<unknown>(codecs.length)
      for (let i = 0; i < codecs.length; i++) {
        const { key, encode } = codecs[i]
        wire[i] = encode ? encode(source[key]) : source[key]
      }
      return wire
    },
    decode(wire: never) {
      const source = wire as unknown[]
      const value: Record<string, unknown> = {}
      for (let i = 0; i < codecs.length; i++) {
        const { key, decode } = codecs[i]
        value[key] = decode ? decode(source[i] as never) : source[i]
      }
      return value as ValueOf<F>
    },
  }
}
export type VariantOf<C extends Record<string, Struct<any>>> = {
  [K in keyof C]: { readonly kind: K } & Of<C[K]>
}[keyof C]
/** One of several structs; the wire form is [case number, …fields], the value has a `kind`. */
export const VARIANT = <C extends Record<string, Struct<any>>>(
  name: string,
  cases: C,
): Field<VariantOf<C>> & { cases: C } => {
  const kinds = Object.keys(cases)
  return {
    kind: name,
    cases,
    c: 'none',
    schema: Type.Union(kinds.map((key, number) => Type.Tuple([Type.Literal(number), cases[key].schema]))),
    encode: (value) => {
      const { kind } = value as { kind: string }
      return [kinds.indexOf(kind), cases[kind].encode?.(value as never)]
    },
    decode: (wire: never) => {
      const [number, body] = wire as [number, never]
      const kind = kinds[number]
      return { kind, ...(cases[kind].decode?.(body) as object) } as VariantOf<C>
    },
  }
}

const checks = new WeakMap<TSchema, { Check(value: unknown): boolean }>()
/** Compiled on first use: 30 µs then, 0.1 µs after, and a process pays only for the contracts it speaks. */
function checkOf(schema: TSchema): { Check(value: unknown): boolean } {
  let check = checks.get(schema)
  if (!check) {
    check = Compile(schema)
    checks.set(schema, check)
  }
  return check
}
export const toWire = <T>(field: Field<T>, value: T): unknown => (field.encode ? field.encode(value) : value)
export function fromWire<T>(field: Field<T>, wire: unknown): T {
  if (!checkOf(field.schema).Check(wire)) throw new MalformedError(field.kind)
  return field.decode ? field.decode(wire as never) : (wire as T)
}
