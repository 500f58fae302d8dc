/**
 * CNodes in the model: what their methods do, and how arguments name capabilities and slots.
 *
 * From the seL4 manual: 3 (capabilities) and the API reference for each method's errors.
 */
import { Messages } from './messages.ts'
import { Endpoint, type Thread } from './threads.ts'
import { type Cap, capIn, capOf, type Kind, type Place, R, refuse, slotOf } from './tree.ts'

export type Slot = readonly [index: number, depth: number]

export class CNodes extends Messages {
  // ------------------------------------------------------------ looking up

  protected invoked(thread: Thread, service: number, kind: Kind): Cap {
    const cap = capOf(thread.cspace, service)
    return cap.thing.kind === kind ? cap : refuse('InvalidCapability')
  }
  protected argument(thread: Thread, cptr: number, kind: Kind, otherwise = 'InvalidCapability'): Cap {
    const cap = capOf(thread.cspace, cptr)
    return cap.thing.kind === kind ? cap : refuse(otherwise)
  }
  protected source(thread: Thread, root: number, index: number, depth: number): Cap {
    return capIn(slotOf(capOf(thread.cspace, root), index, depth)) ?? refuse('FailedLookup')
  }
  /** Runs all; what any of them refuses may be said. */
  protected all(...checks: (() => void)[]): void {
    const names = checks.flatMap((check) => {
      try {
        check()
        return []
      } catch (error) {
        return (error as { names?: readonly string[] }).names ?? [String(error)]
      }
    })
    if (names.length) refuse(...names.map((name) => name.replace('seL4_', '')))
  }
  protected empty(place: Place): Place {
    if (place.table.closed) return refuse('NotEnoughMemory')
    return capIn(place) ? refuse('DeleteFirst') : place
  }

  // ------------------------------------------------------------ CNodes

  CNode_Copy(
    t: Thread,
    root: number,
    [di, dd]: Slot,
    from: number,
    [si, sd]: Slot,
    rights: number,
    badge?: number,
  ): null {
    const node = this.invoked(t, root, 'CNode')
    const derivable = () => {
      const cap = this.source(t, from, si, sd)
      this.all(
        () => badge !== undefined && this.checkData(cap, badge, false),
        () => this.checkDerivable(cap),
      )
    }
    this.all(() => this.empty(slotOf(node, di, dd)), derivable)
    const cap = this.source(t, from, si, sd)
    this.put(this.derive(cap, rights, badge, this.guardIn(cap, badge)), slotOf(node, di, dd))
    return null
  }
  protected guardIn({ thing }: Cap, data: number | undefined): { guard: number; guardBits: number } | undefined {
    if (data === undefined || thing.kind !== 'CNode') return undefined
    return { guardBits: data % 64, guard: Math.floor(data / 64) % 2 ** (data % 64) }
  }
  CNode_Move(t: Thread, root: number, [di, dd]: Slot, from: number, [si, sd]: Slot, badge?: number): null {
    const node = this.invoked(t, root, 'CNode')
    this.all(
      () => this.empty(slotOf(node, di, dd)),
      () => {
        const cap = this.source(t, from, si, sd)
        if (badge !== undefined) this.checkData(cap, badge, true)
      },
    )
    const cap = this.source(t, from, si, sd)
    this.shift(cap, slotOf(node, di, dd), badge)
    return null
  }
  protected shift(cap: Cap, to: Place, badge: number | undefined): void {
    Object.assign(cap, this.guardIn(cap, badge))
    const { table, index } = cap.place as Place
    table.slots.delete(index)
    this.put(cap, to)
  }
  CNode_Rotate(
    t: Thread,
    root: number,
    [di, dd]: Slot,
    db: number,
    pr: number,
    [pi, pd]: Slot,
    pb: number,
    sr: number,
    [si, sd]: Slot,
  ): null {
    const node = this.invoked(t, root, 'CNode')
    this.all(
      () => slotOf(node, di, dd),
      () => this.source(t, pr, pi, pd),
      () => this.source(t, sr, si, sd),
    )
    const to = slotOf(node, di, dd)
    const pivotAt = slotOf(capOf(t.cspace, pr), pi, pd)
    const fromAt = slotOf(capOf(t.cspace, sr), si, sd)
    const same = (a: Place, b: Place) => a.table === b.table && a.index === b.index
    const [pivot, from] = [capIn(pivotAt), capIn(fromAt)]
    this.all(
      () => (same(pivotAt, fromAt) || same(pivotAt, to)) && refuse('IllegalOperation'),
      () => !same(fromAt, to) && this.empty(to),
      () => from && this.checkData(from, pb, true),
      () => pivot && this.checkData(pivot, db, true),
    )
    const [moved, turned] = [from as Cap, pivot as Cap]
    fromAt.table.slots.delete(fromAt.index)
    this.shift(turned, to, db)
    Object.assign(moved, this.guardIn(moved, pb))
    this.put(moved, pivotAt)
    return null
  }
  CNode_Delete(t: Thread, root: number, [index, depth]: Slot): null {
    const cap = capIn(slotOf(this.invoked(t, root, 'CNode'), index, depth))
    if (cap) this.delete(cap)
    return null
  }
  CNode_Revoke(t: Thread, root: number, [index, depth]: Slot): null {
    const cap = capIn(slotOf(this.invoked(t, root, 'CNode'), index, depth))
    if (cap) this.revoke(cap)
    return null
  }
  CNode_CancelBadgedSends(t: Thread, root: number, [index, depth]: Slot): null {
    const cap = capIn(slotOf(this.invoked(t, root, 'CNode'), index, depth))
    if (!(cap?.thing instanceof Endpoint) || cap.rights !== R.all) return refuse('IllegalOperation')
    if (cap.badge) this.cancelBadged(cap.thing, cap.badge)
    return null
  }
  CNode_SaveCaller(t: Thread, root: number, [index, depth]: Slot): null {
    const place = slotOf(this.invoked(t, root, 'CNode'), index, depth)
    if (capIn(place)) return refuse('DeleteFirst')
    return this.saveCaller(t, t.caller?.caller ? this.empty(place) : place)
  }
}
