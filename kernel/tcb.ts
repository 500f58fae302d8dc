/** A thread control block: what a process's thread runs with. The host schedules; suspended means the process is not started. */
import type { CNode, KernelObject } from './cspace.ts'
import type { VSpace } from './vspace.ts'

export class Tcb implements KernelObject {
  readonly type = 'TCB'
  references = 0
  readonly id: number
  readonly name: string
  cspace?: CNode
  vspace?: VSpace
  state: 'inactive' | 'running' = 'inactive'

  constructor(id: number, name: string) {
    this.id = id
    this.name = name
  }
  describe(): string {
    return `TCB of ${this.name}, ${this.state}`
  }
  /** TCB_Configure. */
  configure(cspace: CNode, vspace: VSpace): void {
    this.cspace = cspace
    this.vspace = vspace
  }
  /** TCB_Resume. */
  resume(): void {
    this.state = 'running'
  }
}
