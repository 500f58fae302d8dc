/** System services on registry keys. */
import type { Caller } from '#sel4/api'
import { StatusError } from '#rtl'
import type { Executive, Services } from '../executive.ts'
import { type Attributes, rootOf } from '../ob/services.ts'
import type { Process } from '../ps/index.ts'
import { Key } from './index.ts'

type Keys = Pick<Services, 'NtCreateKey' | 'NtOpenKey' | 'NtEnumerateKey'>
type Values = Pick<Services, 'NtSetValueKey' | 'NtQueryValueKey' | 'NtEnumerateValueKey'>
const KEY_QUERY_VALUE = 0x1
const KEY_SET_VALUE = 0x2
const KEY_ENUMERATE = 0x8
const CREATED = 1
const OPENED = 2

export const cmServices = (ex: Executive): Keys & Values => ({ ...keyServices(ex), ...valueServices(ex) })

function keyServices(ex: Executive): Keys {
  const { ob, ps, cm } = ex
  return {
    NtCreateKey({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      const { from, path } = base(ex, process, ObjectAttributes)
      const { key, created } = cm.create(path, from)
      return { KeyHandle: ob.createHandle(process, key, DesiredAccess), Disposition: created ? CREATED : OPENED }
    },
    NtOpenKey({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      const { from, path } = base(ex, process, ObjectAttributes)
      return { KeyHandle: ob.createHandle(process, cm.open(path, from), DesiredAccess) }
    },
    NtEnumerateKey: ({ KeyHandle, Index }, caller) => ({
      Name: nth(ob.fromHandle(ps.byBadge(caller.badge), KeyHandle, Key, KEY_ENUMERATE).keys.values(), Index).name,
    }),
  }
}
function valueServices({ ob, ps }: Executive): Values {
  const key = (caller: Caller, handle: number, access: number): Key =>
    ob.fromHandle(ps.byBadge(caller.badge), handle, Key, access)
  return {
    NtSetValueKey({ KeyHandle, ValueName, Type, Data }, caller) {
      key(caller, KeyHandle, KEY_SET_VALUE).setValue(ValueName, Type, Data)
      return {}
    },
    NtQueryValueKey({ KeyHandle, ValueName }, caller) {
      const value = key(caller, KeyHandle, KEY_QUERY_VALUE).value(ValueName)
      if (!value) throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND')
      return { Type: value.type, Data: value.data }
    },
    NtEnumerateValueKey({ KeyHandle, Index }, caller) {
      const value = nth(key(caller, KeyHandle, KEY_QUERY_VALUE).values.values(), Index)
      return { Name: value.name, Type: value.type, Data: value.data }
    },
  }
}

/** The key a name starts from and the path left to go. */
function base(ex: Executive, process: Process, attributes: Attributes): { from: Key; path: string } {
  const root = rootOf(ex, process, attributes)
  if (root instanceof Key) return { from: root, path: attributes.ObjectName }
  const { object, remaining } = ex.ob.lookup(attributes.ObjectName, { root })
  if (!(object instanceof Key)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
  return { from: object, path: remaining }
}
function nth<T>(items: Iterable<T>, index: number): T {
  const item = [...items][index]
  if (item === undefined) throw new StatusError('STATUS_NO_MORE_ENTRIES')
  return item
}
