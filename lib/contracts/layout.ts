/**
 * C layouts: where the fields of a STRUCT lie in memory, for both data models of NT.
 *
 *   layoutOf(struct, model)                       offsets, size, alignment; computed once per struct and model
 *   writeStruct(bytes, offset, struct, value, model)   value → bytes; padding is zeroed
 *   readStruct(bytes, offset, struct, model)      bytes → value; throws MalformedError when the bytes are too few
 *   WCHARS(count) UCHARS(count)                   arrays of fixed length inside a struct; text is padded with NULs
 *
 * Alignment is natural in both models, as NT's compilers have it: LARGE_INTEGER on 8 bytes even where a pointer has 4.
 * Integers of 64 bits that a number cannot hold exactly are refused, never rounded. Never reads or writes outside the struct.
 */
import { type CType, type Field, type Fields, MalformedError, type Struct, type ValueOf } from './field.ts'

/** Bits of a pointer. */
export type DataModel = 32 | 64

export interface FieldLayout {
  readonly name: string
  readonly offset: number
  readonly size: number
}
export interface Layout {
  readonly fields: readonly FieldLayout[]
  readonly size: number
  readonly alignment: number
  /** Behind the last field, before the padding that rounds size up: where a trailing array starts. */
  readonly end: number
}

interface FixedArray<T> extends Field<T> {
  readonly elements: { readonly count: number; readonly size: 1 | 2 }
}
/** WCHAR[count], as text up to the first NUL. */
export const WCHARS = (count: number): Field<string> => {
  const field: FixedArray<string> = {
    kind: `WCHARS(${count})`,
    c: 'none',
    check: (wire) => typeof wire === 'string' && wire.length <= count,
    elements: { count, size: 2 },
  }
  return field
}
/** UCHAR[count]. */
export const UCHARS = (count: number): Field<Uint8Array> => {
  const field: FixedArray<Uint8Array> = {
    kind: `UCHARS(${count})`,
    c: 'none',
    check: (wire) => wire instanceof Uint8Array && wire.byteLength <= count,
    elements: { count, size: 1 },
  }
  return field
}

/**
 * A point in time: 100 ns units since 1601. Today's are beyond the safe integers: a number holds them to 1.6 µs, and every
 * time of a FAT entry (multiples of 10 ms) exactly. So it is rounded where another LARGE_INTEGER would be refused.
 */
export const SYSTEM_TIME: Field<number> = { kind: 'SYSTEM_TIME', c: 'i64', check: Number.isFinite }

const SCALAR_SIZE: Record<Exclude<CType, 'none' | 'pointer'>, number> = {
  u8: 1,
  u16: 2,
  u32: 4,
  i32: 4,
  i64: 8,
  u64: 8,
}
const isStruct = (field: Field<any>): field is Struct<any> => 'fields' in field
const elementsOf = (field: Field<unknown>) => (field as Partial<FixedArray<unknown>>).elements
const alignUp = (offset: number, alignment: number) => Math.ceil(offset / alignment) * alignment

function shapeOf(field: Field<unknown>, model: DataModel): { size: number; alignment: number } {
  if (isStruct(field)) return layoutOf(field, model)
  const elements = elementsOf(field)
  if (elements) return { size: elements.count * elements.size, alignment: elements.size }
  if (field.c === 'none') throw new Error(`${field.kind} has no C layout`)
  const size = field.c === 'pointer' ? model / 8 : SCALAR_SIZE[field.c]
  return { size, alignment: size }
}

const layouts = { 32: new WeakMap<object, Layout>(), 64: new WeakMap<object, Layout>() }
export function layoutOf(struct: Struct<any>, model: DataModel = 64): Layout {
  const known = layouts[model].get(struct)
  if (known) return known
  const layout = computeLayout(struct.fields, model)
  layouts[model].set(struct, layout)
  return layout
}

function computeLayout(fields: Fields, model: DataModel): Layout {
  let end = 0
  let alignment = 1
  const placed = Object.entries(fields).map(([name, field]) => {
    const shape = shapeOf(field, model)
    const offset = alignUp(end, shape.alignment)
    end = offset + shape.size
    alignment = Math.max(alignment, shape.alignment)
    return { name, offset, size: shape.size }
  })
  return { fields: placed, size: alignUp(end, alignment), alignment, end }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export function writeStruct<F extends Fields>(
  bytes: Uint8Array,
  offset: number,
  struct: Struct<F>,
  value: ValueOf<F>,
  model: DataModel = 64,
): void {
  const layout = layoutOf(struct, model)
  if (offset + layout.end > bytes.byteLength) throw new RangeError(`no room for ${struct.name}`)
  bytes.fill(0, offset, Math.min(offset + layout.size, bytes.byteLength))
  const view = viewOf(bytes)
  for (const { name, offset: at } of layout.fields)
    writeField(bytes, view, offset + at, struct.fields[name], (value as Record<string, unknown>)[name], model)
}

function writeField(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  field: Field<unknown>,
  value: unknown,
  model: DataModel,
): void {
  const elements = elementsOf(field)
  if (isStruct(field)) writeStruct(bytes, at, field, value as never, model)
  else if (elements?.size === 2) writeWide(view, at, (value as string).slice(0, elements.count))
  else if (elements) bytes.set((value as Uint8Array).subarray(0, elements.count), at)
  else writeScalar(view, at, scalarOf(field, model), Number(value ?? 0))
}
const scalarOf = ({ c }: Field<unknown>, model: DataModel): CType =>
  c === 'pointer' ? (model === 64 ? 'u64' : 'u32') : c

function writeScalar(view: DataView, at: number, c: CType, value: number): void {
  if (c === 'u8') view.setUint8(at, value)
  else if (c === 'u16') view.setUint16(at, value, true)
  else if (c === 'u32') view.setUint32(at, value, true)
  else if (c === 'i32') view.setInt32(at, value, true)
  else view.setBigInt64(at, BigInt(value), true)
}

export function readStruct<F extends Fields>(
  bytes: Uint8Array,
  offset: number,
  struct: Struct<F>,
  model: DataModel = 64,
): ValueOf<F> {
  const layout = layoutOf(struct, model)
  if (offset < 0 || offset + layout.end > bytes.byteLength) throw new MalformedError(struct.name)
  const view = viewOf(bytes)
  const value: Record<string, unknown> = {}
  for (const { name, offset: at } of layout.fields)
    value[name] = readField(bytes, view, offset + at, struct.fields[name], model)
  return value as ValueOf<F>
}

function readField(bytes: Uint8Array, view: DataView, at: number, field: Field<unknown>, model: DataModel): unknown {
  if (isStruct(field)) return readStruct(bytes, at, field, model)
  const elements = elementsOf(field)
  if (elements?.size === 2) return readWide(view, at, elements.count).replace(/\0.*$/s, '')
  if (elements) return bytes.slice(at, at + elements.count)
  const value = readScalar(view, at, scalarOf(field, model))
  if (!Number.isSafeInteger(value) && field.kind !== 'SYSTEM_TIME') throw new MalformedError(field.kind)
  return field.kind === 'BOOLEAN' ? value !== 0 : value
}

function readScalar(view: DataView, at: number, c: CType): number {
  switch (c) {
    case 'u8':
      return view.getUint8(at)
    case 'u16':
      return view.getUint16(at, true)
    case 'u32':
      return view.getUint32(at, true)
    case 'i32':
      return view.getInt32(at, true)
    case 'u64':
      return Number(view.getBigUint64(at, true))
    default:
      return Number(view.getBigInt64(at, true))
  }
}

/** UTF-16LE text without a terminator. */
export function writeWide(view: DataView, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) view.setUint16(at + 2 * i, text.charCodeAt(i), true)
}
export function readWide(view: DataView, at: number, units: number): string {
  let text = ''
  for (let i = 0; i < units; i++) text += String.fromCharCode(view.getUint16(at + 2 * i, true))
  return text
}
