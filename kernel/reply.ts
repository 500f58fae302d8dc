/** A reply: the right to answer one call, once. In the receiver's TCB until CNode_SaveCaller makes a capability of it. */
import type { KernelObject } from './cspace.ts'
import type { Message } from './endpoint.ts'

export class Reply implements KernelObject {
  readonly type = 'Reply'
  references = 0
  readonly id: number
  /** Whether capabilities may go with the answer: the right the call was received with. */
  readonly canGrant: boolean
  private answerCaller?: (answer: Message, canGrant: boolean) => void

  constructor(id: number, canGrant: boolean, answerCaller: (answer: Message, canGrant: boolean) => void) {
    this.id = id
    this.canGrant = canGrant
    this.answerCaller = answerCaller
  }
  describe(): string {
    return this.answerCaller ? `Reply ${this.id}` : `Reply ${this.id}, used`
  }
  get isUsed(): boolean {
    return this.answerCaller === undefined
  }
  answer(message: Message): void {
    const { answerCaller } = this
    this.answerCaller = undefined
    answerCaller?.(message, this.canGrant)
  }
  /** Nobody will answer: the caller waits until somebody resumes it, as in seL4. */
  drop(): void {
    this.answerCaller = undefined
  }
}
