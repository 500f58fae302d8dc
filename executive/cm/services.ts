/** System services on registry keys. */
import type { Caller } from '#sel4/api'
import type { Handlers } from '#contracts/interface'
import type { SystemServices } from '#contracts/nt'
import { StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { rootOf } from '../ob/services.ts'
import type { Process } from '../ps/index.ts'
import { Key } from './index.ts'

type Services = Handlers<typeof SystemServices, Caller>
type CmServices = Pick<
  Services,
  'NtCreateKey' | 'NtOpenKey' | 'NtSetValueKey' | 'NtQueryValueKey' | 'NtEnumerateKey' | 'NtEnumerateValueKey'
>
const KEY_QUERY_VALUE = 0x1
const KEY_SET_VALUE = 0x2
const KEY_ENUMERATE = 0x8
const CREATED = 1
const OPENED = 2

export function cmServices(ex: Executive): CmServices {
  const { ob, ps, cm } = ex
  /** The key a name starts from and the path left to go. */
  const base = (
    process: Process,
    attributes: { RootDirectory: number; ObjectName: string },
  ): { from: Key; path: string } => {
    const root = rootOf(ex, process, attributes)
    if (root instanceof Key) return { from: root, path: attributes.ObjectName }
    const { object, remaining } = ob.lookup(attributes.ObjectName, { root })
    if (!(object instanceof Key)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
    return { from: object, path: remaining }
  }
  const nth = <T>(items: Iterable<T>, index: number): T => {
    const item = [...items][index]
    if (item === undefined) throw new StatusError('STATUS_NO_MORE_ENTRIES')
    return item
  }
  return {
    NtCreateKey({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      const { from, path } = base(process, ObjectAttributes)
      const { key, created } = cm.create(path, from)
      return { KeyHandle: ob.createHandle(process, key, DesiredAccess), Disposition: created ? CREATED : OPENED }
    },
    NtOpenKey({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      const { from, path } = base(process, ObjectAttributes)
      return { KeyHandle: ob.createHandle(process, cm.open(path, from), DesiredAccess) }
    },
    NtSetValueKey({ KeyHandle, ValueName, Type, Data }, caller) {
      ob.fromHandle(ps.byBadge(caller.badge), KeyHandle, Key, KEY_SET_VALUE).setValue(ValueName, Type, Data)
      return {}
    },
    NtQueryValueKey({ KeyHandle, ValueName }, caller) {
      const value = ob.fromHandle(ps.byBadge(caller.badge), KeyHandle, Key, KEY_QUERY_VALUE).value(ValueName)
      if (!value) throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND')
      return { Type: value.type, Data: value.data }
    },
    NtEnumerateKey: ({ KeyHandle, Index }, caller) => ({
      Name: nth(ob.fromHandle(ps.byBadge(caller.badge), KeyHandle, Key, KEY_ENUMERATE).keys.values(), Index).name,
    }),
    NtEnumerateValueKey({ KeyHandle, Index }, caller) {
      const value = nth(ob.fromHandle(ps.byBadge(caller.badge), KeyHandle, Key, KEY_QUERY_VALUE).values.values(), Index)
      return { Name: value.name, Type: value.type, Data: value.data }
    },
  }
}
