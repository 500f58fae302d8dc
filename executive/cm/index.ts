/**
 * The configuration manager: keys and values in memory, under \Registry. Nothing is kept on disk yet.
 *
 *   open(path) create(path)   a Key; names compare without case
 *   Key.values                name → type and NT's bytes
 */
import { StatusError } from '#rtl'
import { NtObject, type ObjectManager } from '../ob/index.ts'

export const REG_SZ = 1
export const REG_DWORD = 4
export const REG_MULTI_SZ = 7

export interface Value {
  readonly name: string
  readonly type: number
  readonly data: Uint8Array
}
const fold = (name: string): string => name.toUpperCase()
/** Deeper than any real tree; bounds recursion on a hostile path. */
const DEPTH_MAX = 64

export class Key extends NtObject {
  readonly typeName = 'Key'
  readonly keys = new Map<string, Key>()
  readonly values = new Map<string, Value>()
  constructor(name: string) {
    super()
    this.name = name
  }
  subkey(name: string): Key | undefined {
    return this.keys.get(fold(name))
  }
  setValue(name: string, type: number, data: Uint8Array): void {
    this.values.set(fold(name), { name, type, data: data.slice() })
  }
  value(name: string): Value | undefined {
    return this.values.get(fold(name))
  }
  /** A REG_SZ as text, without its NUL. */
  text(name: string): string | undefined {
    const value = this.value(name)
    return value && value.type === REG_SZ ? textOf(value.data) : undefined
  }
  texts(name: string): string[] {
    const value = this.value(name)
    return value && value.type === REG_MULTI_SZ ? textOf(value.data).split('\0').filter(Boolean) : []
  }
}
const textOf = (data: Uint8Array): string => new TextDecoder('utf-16le').decode(data).replace(/\0+$/, '')

export class Registry {
  private readonly root = new Key('Registry')

  constructor(ob: ObjectManager) {
    ob.insert('\\Registry', this.root, { permanent: true })
    this.create('\\Registry\\Machine\\System\\CurrentControlSet\\Services')
  }

  /** undefined when the key does not exist. */
  find(path: string, from: Key = this.root): Key | undefined {
    let key: Key | undefined = from
    for (const part of partsOf(path)) key = key?.subkey(part)
    return key
  }
  open(path: string, from?: Key): Key {
    const key = this.find(path, from)
    if (!key) throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND', path)
    return key
  }
  /** Makes the key and every missing one above it. */
  create(path: string, from: Key = this.root): { key: Key; created: boolean } {
    let key = from
    let created = false
    for (const part of partsOf(path)) {
      let next = key.subkey(part)
      created = !next
      if (!next) {
        next = new Key(part)
        key.keys.set(fold(part), next)
      }
      key = next
    }
    return { key, created }
  }
}
function partsOf(path: string): string[] {
  const parts = path
    .replace(/^\\Registry(?=\\|$)/i, '')
    .split('\\')
    .filter(Boolean)
  if (parts.length > DEPTH_MAX || parts.some((part) => part.length > 255))
    throw new StatusError('STATUS_OBJECT_NAME_INVALID')
  return parts
}
