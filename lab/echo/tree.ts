/** A capability with many descendants, made and revoked through libsel4 as any process would. */
import { OBJECT_TYPE, RIGHTS, seL4_CapInitThreadCNode } from '#contracts/sel4'
import type { Environment } from '#sel4/api'

const OWN = seL4_CapInitThreadCNode
const DEPTH = 32
const ENDPOINT = 0x2000
const NODE = 0x2001
/** 2^14 slots: more than ten thousand. */
const RADIX = 14
/** An address in the node: its slot in the own CSpace, then the index below it. */
const NODE_DEPTH = RADIX
/** Requests under way at once: fewer than a session has credits. */
const AT_ONCE = 32

export class Tree {
  private readonly env: Environment
  private made?: Promise<void>

  constructor(env: Environment) {
    this.env = env
  }
  private async make(): Promise<void> {
    const { libsel4, caps } = this.env
    const untyped = caps['untyped.lab']
    await libsel4.Untyped_Retype(untyped, OBJECT_TYPE.seL4_EndpointObject, 0, OWN, 0, 0, ENDPOINT, 1)
    await libsel4.Untyped_Retype(untyped, OBJECT_TYPE.seL4_CapTableObject, RADIX, OWN, 0, 0, NODE, 1)
  }
  /** Milliseconds it took. */
  async grow(descendants: number): Promise<number> {
    await (this.made ??= this.make())
    const { libsel4, clock } = this.env
    const began = clock.now()
    for (let done = 0; done < descendants; done += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, descendants - done) }, (_, i) =>
        libsel4.CNode_Copy(NODE, done + i, NODE_DEPTH, OWN, ENDPOINT, DEPTH, RIGHTS.all),
      )
      await Promise.all(some)
    }
    return clock.now() - began
  }
  async cut(): Promise<number> {
    const { libsel4, clock } = this.env
    const began = clock.now()
    await libsel4.CNode_Revoke(OWN, ENDPOINT, DEPTH)
    return clock.now() - began
  }
}
