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
/** C scalar of a layout: bytes, alignment follows from it. `pointer` is 4 or 8 by data model. */
export type CType = 'u8' | 'u16' | 'u32' | 'i32' | 'i64' | 'u64' | 'pointer' | 'none'

export interface Field<T> {
  readonly kind: string
  readonly c: CType
  /** Is it the wire form of such a value? Looks at everything, and never throws. */
  readonly check: (wire: unknown) => boolean
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
  check: (wire) => Number.isInteger(wire) && (wire as number) >= minimum && (wire as number) <= maximum,
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
export const BOOLEAN: Field<boolean> = { kind: 'BOOLEAN', c: 'u8', check: (wire) => typeof wire === 'boolean' }

/** Text, at most `max` UTF-16 units. */
export const STRING = (max: number): Field<string> => ({
  kind: `STRING(${max})`,
  c: 'none',
  check: (wire) => typeof wire === 'string' && wire.length <= max,
})
/** A page at most travels in a message; more goes by naming pages. */
export const INLINE_MAX = 4096
export const BYTES = (max: number = INLINE_MAX): Field<Uint8Array> => ({
  kind: `BYTES(${max})`,
  c: 'none',
  check: (wire) => wire instanceof Uint8Array && wire.byteLength <= max,
})
export const OPTIONAL = <T>(inner: Field<T>): Field<T | undefined> => ({
  kind: `OPTIONAL(${inner.kind})`,
  c: inner.c,
  check: (wire) => wire === null || inner.check(wire),
  optional: true,
  encode: (value) => (value === undefined ? null : inner.encode ? inner.encode(value) : value),
  decode: (wire: unknown) => (wire === null ? undefined : inner.decode ? inner.decode(wire as never) : (wire as T)),
})
export const ARRAY = <T>(inner: Field<T>, max: number): Field<readonly T[]> => {
  const { check, encode, decode } = inner
  return {
    kind: `ARRAY(${inner.kind}, ${max})`,
    c: 'none',
    check: (wire) => Array.isArray(wire) && wire.length <= max && wire.every(check),
    ...(encode && { encode: (value: readonly T[]) => value.map(encode) }),
    ...(decode && { decode: (wire: never) => (wire as unknown[]).map((item) => decode(item as never)) }),
  }
}
/** A struct's check, encoder and decoder. */
interface Coder {
  check(wire: unknown): boolean
  encode(value: unknown): unknown
  decode(wire: never): unknown
}
/**
 * Written out as code, name by name, when it is first used: a loop over the names is several times slower, and a process
 * pays only for the contracts it speaks. `kind` is put in front of what was decoded.
 */
function coderOf(fields: Fields, kind?: string): () => Coder {
  let coder: Coder | undefined
  return () => (coder ??= writeCoder(fields, kind))
}
function writeCoder(fields: Fields, kind: string | undefined): Coder {
  const names = Object.keys(fields)
  const stranger = names.find((name) => !/^\w+$/.test(name))
  if (stranger !== undefined) throw new Error(`a field cannot be called ${stranger}`)
  const checks = names.map((name, i) => ` && f.${name}.check(w[${i}])`)
  const encoded = names.map((name) => (fields[name].encode ? `f.${name}.encode(v.${name})` : `v.${name}`))
  const decoded = names.map((name, i) => `${name}: ${fields[name].decode ? `f.${name}.decode(w[${i}])` : `w[${i}]`}`)
  const tagged = kind === undefined ? decoded : [`kind: ${JSON.stringify(kind)}`, ...decoded]
  return new Function(
    'f',
    `return {
      check: (w) => Array.isArray(w) && w.length === ${names.length}${checks.join('')},
      encode: (v) => [${encoded.join(', ')}],
      decode: (w) => ({ ${tagged.join(', ')} }),
    }`,
  )(fields) as Coder
}
export const STRUCT = <F extends Fields>(name: string, fields: F): Struct<F> => {
  const coder = coderOf(fields)
  return {
    kind: name,
    name,
    fields,
    c: 'none',
    check: (wire) => coder().check(wire),
    encode: (value) => coder().encode(value),
    decode: (wire: never) => coder().decode(wire) as ValueOf<F>,
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
  const numbers = new Map(kinds.map((kind, number) => [kind, number]))
  const coders = kinds.map((kind) => coderOf(cases[kind].fields, kind))
  const isCase = (number: unknown): number is number =>
    Number.isInteger(number) && (number as number) >= 0 && (number as number) < kinds.length
  return {
    kind: name,
    cases,
    c: 'none',
    check: (wire) => Array.isArray(wire) && wire.length === 2 && isCase(wire[0]) && coders[wire[0]]().check(wire[1]),
    encode: (value) => {
      const number = numbers.get((value as { kind: string }).kind) as number
      return [number, coders[number]().encode(value)]
    },
    decode: (wire: never) => {
      const [number, body] = wire as [number, never]
      return coders[number]().decode(body) as VariantOf<C>
    },
  }
}

export const toWire = <T>(field: Field<T>, value: T): unknown => (field.encode ? field.encode(value) : value)
export function fromWire<T>(field: Field<T>, wire: unknown): T {
  if (!field.check(wire)) throw new MalformedError(field.kind)
  return field.decode ? field.decode(wire as never) : (wire as T)
}
