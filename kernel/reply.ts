/** A reply: the right to answer one call, once. In the receiver's TCB until CNode_SaveCaller makes a capability of it. */
import { type Capability, type KernelObject, remove } from './cspace.ts'
import type { Message, Sender } from './endpoint.ts'

export class Reply implements KernelObject {
  readonly type = 'Reply'
  references = 0
  readonly id: number
  /** Whether capabilities may go with the answer: the right the call was received with. */
  readonly canGrant: boolean
  /** When it was saved. */
  cap?: Capability
  private caller?: Pick<Sender, 'answered' | 'bereaved'>

  constructor(id: number, canGrant: boolean, caller: Pick<Sender, 'answered' | 'bereaved'>) {
    this.id = id
    this.canGrant = canGrant
    this.caller = caller
  }
  describe(): string {
    return this.caller ? `Reply ${this.id}` : `Reply ${this.id}, used`
  }
  get isUsed(): boolean {
    return this.caller === undefined
  }
  answer(message: Message): void {
    const { caller } = this
    this.caller = undefined
    caller?.answered(message, this.canGrant)
  }
  /** Whoever held it died: its caller hears so. */
  bereave(): void {
    const { caller } = this
    this.caller = undefined
    caller?.bereaved?.()
  }
  /** The caller waits no more: there is nothing to answer. */
  cancel(): void {
    this.caller = undefined
    if (this.cap) remove(this.cap)
  }
  /** Nobody will answer: the caller waits until somebody resumes it, as in seL4. */
  drop(): void {
    this.caller = undefined
  }
}
