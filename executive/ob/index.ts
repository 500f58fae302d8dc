/**
 * The object manager: one namespace, counted objects, handles with the access that was granted.
 *
 *   lookup(path)                     follows directories and links; stops at the first object that is neither
 *   insert / remove                  names
 *   createHandle / fromHandle / close
 *   reference / dereference          the Executive's own pointers
 *
 * Never sends an IRP itself: what follows from a last handle or reference is the object's own affair.
 */
import { StatusError } from '#rtl'
import type { Process } from '../ps/process.ts'
import { allows, grantedAccess } from './access.ts'
import { Directory, SymbolicLink } from './directory.ts'
import type { NtObject } from './object.ts'

export { Directory, SymbolicLink } from './directory.ts'
export { NtObject, type Waitable } from './object.ts'
export { allows, grantedAccess } from './access.ts'

/** As in NT's parser: a ring of links is an error, not a hang. */
const LINKS_MAX = 32
const OBJECTS_MAX = 255

export interface LookupOptions {
  /** Where a path without leading backslash begins. */
  readonly root?: NtObject
  /** Answer with a link that is the last component itself. */
  readonly noFinalLink?: boolean
}
export interface Found {
  readonly object: NtObject
  /** What is left behind an object that is no directory: '\DIR\F.TXT', or ''. */
  readonly remaining: string
}

export class ObjectManager {
  readonly root = new Directory()

  constructor() {
    for (const path of ['\\??', '\\Device', '\\Driver', '\\FileSystem', '\\BaseNamedObjects', '\\Registry']) {
      if (path !== '\\Registry') this.createDirectory(path)
    }
    this.createSymbolicLink('\\DosDevices', '\\??')
    this.createSymbolicLink('\\GLOBAL??', '\\??')
  }

  lookup(path: string, options: LookupOptions = {}): Found {
    let rest = path
    for (let links = 0; links < LINKS_MAX; links++) {
      const step = this.walk(rest, links === 0 ? options.root : undefined, options.noFinalLink === true)
      if (typeof step !== 'string') return step
      rest = step
    }
    throw new StatusError('STATUS_OBJECT_NAME_INVALID', `${path}: too many symbolic links`)
  }

  /** One pass from a root; a string is the path to go on with after a link. */
  private walk(path: string, root: NtObject | undefined, noFinalLink: boolean): Found | string {
    if (root && !(root instanceof Directory)) return { object: root, remaining: path === '' ? '' : path }
    if (!root && !path.startsWith('\\')) throw new StatusError('STATUS_OBJECT_PATH_SYNTAX_BAD')
    const parts = (root ? path : path.slice(1)).split('\\').filter((part, i, all) => part !== '' || i < all.length - 1)
    let here: NtObject = root ?? this.root
    for (let i = 0; i < parts.length; i++) {
      if (!(here instanceof Directory))
        return {
          object: here,
          remaining: `\\${parts.slice(i).join('\\')}${path.endsWith('\\') && parts.at(-1) !== '' ? '\\' : ''}`,
        }
      if (parts[i] === '') throw new StatusError('STATUS_OBJECT_NAME_INVALID')
      const next = here.find(parts[i])
      if (!next)
        throw new StatusError(i === parts.length - 1 ? 'STATUS_OBJECT_NAME_NOT_FOUND' : 'STATUS_OBJECT_PATH_NOT_FOUND')
      const last = i === parts.length - 1
      if (next instanceof SymbolicLink && !(last && noFinalLink)) {
        const tail = parts.slice(i + 1).join('\\')
        const trailing = path.endsWith('\\') ? '\\' : ''
        return tail === '' ? next.target + trailing : `${next.target.replace(/\\$/, '')}\\${tail}${trailing}`
      }
      here = next
    }
    const trailing = path.endsWith('\\') && !(here instanceof Directory) ? '\\' : ''
    return { object: here, remaining: trailing }
  }

  insert(path: string, object: NtObject, options: { permanent?: boolean; root?: NtObject } = {}): void {
    const cut = path.lastIndexOf('\\')
    const name = path.slice(cut + 1)
    if (name === '' || name.length > OBJECTS_MAX) throw new StatusError('STATUS_OBJECT_NAME_INVALID')
    if (cut < 0 && !options.root) throw new StatusError('STATUS_OBJECT_PATH_SYNTAX_BAD', path)
    const parent =
      cut < 0 ? (options.root ?? this.root) : cut === 0 ? this.root : this.parentOf(path.slice(0, cut), options.root)
    if (!(parent instanceof Directory)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
    if (parent.find(name)) throw new StatusError('STATUS_OBJECT_NAME_COLLISION', path)
    parent.add(name, object)
    if (options.permanent) this.makePermanent(object)
  }
  /** It keeps its name without handles. */
  makePermanent(object: NtObject): void {
    if (!object.permanent) this.reference(object)
    object.permanent = true
  }
  /** It goes when nobody holds it any more. */
  makeTemporary(object: NtObject): void {
    if (!object.permanent) return
    object.permanent = false
    this.dereference(object)
  }
  private parentOf(path: string, root: NtObject | undefined): NtObject {
    try {
      return this.lookup(path, { root }).object
    } catch (error) {
      if (error instanceof StatusError) throw new StatusError('STATUS_OBJECT_PATH_NOT_FOUND', path)
      throw error
    }
  }

  /** Takes an object's name away; its handles go on working. */
  remove(object: NtObject): void {
    object.directory?.delete(object)
    this.makeTemporary(object)
  }
  createDirectory(path: string): Directory {
    const directory = new Directory()
    this.insert(path, directory, { permanent: true })
    return directory
  }
  createSymbolicLink(path: string, target: string): SymbolicLink {
    const link = new SymbolicLink(target)
    this.insert(path, link, { permanent: true })
    return link
  }

  reference(object: NtObject): void {
    object.referenceCount++
  }
  dereference(object: NtObject): void {
    if (--object.referenceCount > 0) return
    object.directory?.delete(object)
    object.deleted()
  }

  createHandle(process: Process, object: NtObject, desiredAccess: number): number {
    const handle = process.handles.add(object, grantedAccess(object.typeName, desiredAccess))
    object.handleCount++
    this.reference(object)
    return handle
  }
  /** The object behind a handle, if it is of that class and all of `access` was granted. */
  fromHandle<T extends NtObject>(
    process: Process,
    handle: number,
    type: abstract new (...args: never[]) => T,
    access = 0,
  ): T {
    const entry = process.handles.get(handle)
    if (!(entry.object instanceof type)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
    if (!allows(entry.grantedAccess, access)) throw new StatusError('STATUS_ACCESS_DENIED')
    return entry.object
  }
  async close(process: Process, handle: number): Promise<void> {
    const { object } = process.handles.remove(handle)
    try {
      if (--object.handleCount === 0) await object.lastHandleClosed()
    } finally {
      this.dereference(object)
    }
  }
}
