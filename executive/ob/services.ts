/** System services on handles, directories and symbolic links. */
import { StatusError } from '#rtl'
import type { Executive, Services } from '../executive.ts'
import type { Process } from '../ps/index.ts'
import { Directory, NtObject, SymbolicLink } from './index.ts'

type DirectoryServices = Pick<Services, 'NtCreateDirectoryObject' | 'NtOpenDirectoryObject' | 'NtQueryDirectoryObject'>
type LinkServices = Pick<
  Services,
  'NtCreateSymbolicLinkObject' | 'NtOpenSymbolicLinkObject' | 'NtQuerySymbolicLinkObject'
>
type ObServices = DirectoryServices & LinkServices & Pick<Services, 'NtClose' | 'NtMakeTemporaryObject'>
export interface Attributes {
  readonly RootDirectory: number
  readonly ObjectName: string
}
const OBJ_PERMANENT = 0x10
const DIRECTORY_QUERY = 1
const SYMBOLIC_LINK_QUERY = 1
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
  const { object, remaining } = ex.ob.lookup(attributes.ObjectName, { root, noFinalLink })
  if (remaining !== '') throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND')
  if (!(object instanceof type)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
  return object
}

/** A new object under its name, and a handle on it. Without the handle nothing is left of it. */
function createNamed(
  ex: Executive,
  process: Process,
  attributes: Attributes,
  object: NtObject,
  access: number,
): number {
  const root = rootOf(ex, process, attributes)
  ex.ob.reference(object)
  try {
    ex.ob.insert(attributes.ObjectName, object, { root })
    return ex.ob.createHandle(process, object, access)
  } finally {
    ex.ob.dereference(object)
  }
}

export function obServices(ex: Executive): ObServices {
  const { ob, ps } = ex
  return {
    async NtClose({ Handle }, caller) {
      await ob.close(ps.byBadge(caller.badge), Handle)
      return {}
    },
    NtMakeTemporaryObject({ Handle }, caller) {
      ob.makeTemporary(ob.fromHandle(ps.byBadge(caller.badge), Handle, NtObject))
      return {}
    },
    ...directoryServices(ex),
    ...linkServices(ex),
  }
}

function directoryServices(ex: Executive): DirectoryServices {
  const { ob, ps } = ex
  return {
    NtCreateDirectoryObject({ DesiredAccess, ObjectAttributes }, caller) {
      const directory = new Directory()
      const process = ps.byBadge(caller.badge)
      const DirectoryHandle = createNamed(ex, process, ObjectAttributes, directory, DesiredAccess)
      if (ObjectAttributes.Attributes & OBJ_PERMANENT) ob.makePermanent(directory)
      return { DirectoryHandle }
    },
    NtOpenDirectoryObject({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      const directory = openByName(ex, process, ObjectAttributes, Directory)
      return { DirectoryHandle: ob.createHandle(process, directory, DesiredAccess) }
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
  }
}

function linkServices(ex: Executive): LinkServices {
  const { ob, ps } = ex
  return {
    NtCreateSymbolicLinkObject({ DesiredAccess, ObjectAttributes, LinkTarget }, caller) {
      if (LinkTarget === '' || ObjectAttributes.ObjectName === '') throw new StatusError('STATUS_OBJECT_NAME_INVALID')
      const link = new SymbolicLink(LinkTarget)
      const LinkHandle = createNamed(ex, ps.byBadge(caller.badge), ObjectAttributes, link, DesiredAccess)
      ob.makePermanent(link)
      return { LinkHandle }
    },
    NtOpenSymbolicLinkObject({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      const link = openByName(ex, process, ObjectAttributes, SymbolicLink, true)
      return { LinkHandle: ob.createHandle(process, link, DesiredAccess) }
    },
    NtQuerySymbolicLinkObject: ({ LinkHandle }, caller) => ({
      LinkTarget: ob.fromHandle(ps.byBadge(caller.badge), LinkHandle, SymbolicLink, SYMBOLIC_LINK_QUERY).target,
    }),
  }
}
