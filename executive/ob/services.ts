/** System services on handles, directories and symbolic links. */
import type { Caller } from '#sel4/api'
import type { Handlers } from '#contracts/interface'
import type { SystemServices } from '#contracts/nt'
import { StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import type { Process } from '../ps/index.ts'
import { Directory, NtObject, SymbolicLink } from './index.ts'

type Services = Handlers<typeof SystemServices, Caller>
type ObServices = Pick<
  Services,
  | 'NtClose'
  | 'NtCreateDirectoryObject'
  | 'NtOpenDirectoryObject'
  | 'NtQueryDirectoryObject'
  | 'NtCreateSymbolicLinkObject'
  | 'NtOpenSymbolicLinkObject'
  | 'NtQuerySymbolicLinkObject'
  | 'NtMakeTemporaryObject'
>
interface Attributes {
  readonly RootDirectory: number
  readonly ObjectName: string
  readonly Attributes?: number
}
const OBJ_PERMANENT = 0x10
const DIRECTORY_QUERY = 1
const ENTRIES_MAX = 256

/** Where a relative name begins: the object behind RootDirectory, or nothing. */
export function rootOf(ex: Executive, process: Process, attributes: Attributes): NtObject | undefined {
  return attributes.RootDirectory === 0 ? undefined : ex.ob.fromHandle(process, attributes.RootDirectory, NtObject)
}
/** The object of exactly that name and class. */
export function openByName<T extends NtObject>(
  ex: Executive,
  process: Process,
  attributes: Attributes,
  type: abstract new (...args: never[]) => T,
  noFinalLink = false,
): T {
  const root = rootOf(ex, process, attributes)
  const { object, remaining } = ex.ob.lookup(attributes.ObjectName, { ...(root && { root }), noFinalLink })
  if (remaining !== '') throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND')
  if (!(object instanceof type)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
  return object
}

export function obServices(ex: Executive): ObServices {
  const { ob, ps } = ex
  const create = <T extends NtObject>(
    caller: Caller,
    attributes: Attributes,
    access: number,
    object: T,
    permanent: boolean,
  ): number => {
    const process = ps.byBadge(caller.badge)
    const root = rootOf(ex, process, attributes)
    ob.reference(object)
    try {
      ob.insert(attributes.ObjectName, object, { ...(root && { root }) })
      const handle = ob.createHandle(process, object, access)
      if (permanent) ob.makePermanent(object)
      return handle
    } finally {
      ob.dereference(object)
    }
  }
  return {
    async NtClose({ Handle }, caller) {
      await ob.close(ps.byBadge(caller.badge), Handle)
      return {}
    },
    NtCreateDirectoryObject: ({ DesiredAccess, ObjectAttributes }, caller) => ({
      DirectoryHandle: create(
        caller,
        ObjectAttributes,
        DesiredAccess,
        new Directory(),
        ((ObjectAttributes.Attributes ?? 0) & OBJ_PERMANENT) !== 0,
      ),
    }),
    NtOpenDirectoryObject({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      return {
        DirectoryHandle: ob.createHandle(process, openByName(ex, process, ObjectAttributes, Directory), DesiredAccess),
      }
    },
    NtQueryDirectoryObject({ DirectoryHandle, ReturnSingleEntry, RestartScan, Context }, caller) {
      const directory = ob.fromHandle(ps.byBadge(caller.badge), DirectoryHandle, Directory, DIRECTORY_QUERY)
      const from = RestartScan ? 0 : Context
      const entries = directory.list().slice(from, from + (ReturnSingleEntry ? 1 : ENTRIES_MAX))
      if (entries.length === 0) throw new StatusError('STATUS_NO_MORE_ENTRIES')
      return {
        Entries: entries.map((entry) => ({ Name: entry.name, TypeName: entry.typeName })),
        Context: from + entries.length,
      }
    },
    NtCreateSymbolicLinkObject({ DesiredAccess, ObjectAttributes, LinkTarget }, caller) {
      if (LinkTarget === '' || ObjectAttributes.ObjectName === '') throw new StatusError('STATUS_OBJECT_NAME_INVALID')
      return { LinkHandle: create(caller, ObjectAttributes, DesiredAccess, new SymbolicLink(LinkTarget), true) }
    },
    NtOpenSymbolicLinkObject({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      return {
        LinkHandle: ob.createHandle(
          process,
          openByName(ex, process, ObjectAttributes, SymbolicLink, true),
          DesiredAccess,
        ),
      }
    },
    NtQuerySymbolicLinkObject: ({ LinkHandle }, caller) => ({
      LinkTarget: ob.fromHandle(ps.byBadge(caller.badge), LinkHandle, SymbolicLink, 1).target,
    }),
    NtMakeTemporaryObject({ Handle }, caller) {
      const object = ob.fromHandle(ps.byBadge(caller.badge), Handle, NtObject)
      if (object.permanent) {
        object.permanent = false
        ob.dereference(object)
      }
      return {}
    },
  }
}
