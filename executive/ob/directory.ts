/** Directories and symbolic links of the object namespace. Names compare without case, as in NT, unless asked otherwise. */
import { NtObject } from './object.ts'

const fold = (name: string): string => name.toUpperCase()

export class Directory extends NtObject {
  readonly typeName = 'Directory'
  private readonly entries = new Map<string, NtObject>()

  find(name: string): NtObject | undefined {
    return this.entries.get(fold(name))
  }
  add(name: string, object: NtObject): void {
    object.name = name
    object.directory = this
    this.entries.set(fold(name), object)
  }
  delete(object: NtObject): void {
    if (this.entries.get(fold(object.name)) === object) this.entries.delete(fold(object.name))
    object.directory = undefined
  }
  /** In alphabetical order, so that an index means the same from call to call. */
  list(): NtObject[] {
    return [...this.entries.values()].sort((a, b) => (fold(a.name) < fold(b.name) ? -1 : 1))
  }
}

export class SymbolicLink extends NtObject {
  readonly typeName = 'SymbolicLink'
  readonly target: string
  constructor(target: string) {
    super()
    this.target = target
  }
}
