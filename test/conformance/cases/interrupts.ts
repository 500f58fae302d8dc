/** Interrupts of a chip, by line and by message; time. */
import { RIGHTS, seL4_CapIOPortControl, seL4_CapIRQControl } from '#contracts/sel4'
import { CASE, DEPTH, OWN, type Tester } from '../tester.ts'

/** Their first ports. */
const [CHIP, SECOND_CHIP] = [0x300, 0x310]
interface Line {
  raise(): Promise<void>
  lower(): Promise<void>
  end(): Promise<void>
}
/** What makes a chip raise one of its lines: two ports of it, so that several are at hand at once. */
async function lineOf(t: Tester, chip: number, line: number): Promise<Line> {
  const [port, first] = [t.slot(), chip + 2 * line]
  await t.sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, first, first + 1, OWN, port, DEPTH)
  const out = async (which: number) => {
    await t.env.sel4.portOut(port, which, 1, line)
    await t.settle()
  }
  return { raise: () => out(first), lower: () => out(first + 1), end: async () => void (await t.delete(port)) }
}
interface Wired extends Line {
  readonly handler: number
  readonly notification: number
}
async function wire(t: Tester, irq: number, line: number): Promise<Wired> {
  const [handler, notification, raised] = [t.slot(), await t.notification(), await lineOf(t, CHIP, line)]
  await t.sel4.IRQControl_Get(seL4_CapIRQControl, irq, OWN, handler, DEPTH)
  await t.sel4.IRQHandler_SetNotification(handler, await t.mint(notification, 2))
  const end = async () => {
    await t.delete(handler)
    await raised.end()
  }
  return { ...raised, handler, notification, end }
}
CASE('INTERRUPT0006', 'a notification deleted and another set: interrupts wait for it', async (t) => {
  const { handler, notification, raise, end } = await wire(t, 6, 1)
  await raise()
  t.is(await t.sel4.Poll(notification), 2)
  await t.revoke(notification)
  await t.delete(notification)
  await raise()
  const next = await t.notification()
  await t.sel4.IRQHandler_SetNotification(handler, await t.mint(next, 4))
  t.is(await t.soon(t.sel4.Wait(next)), 4)
  await end()
})
CASE('INTERRUPT-ACK', 'a level line comes once until it is acknowledged, and again while asserted', async (t) => {
  const { handler, notification, raise, lower, end } = await wire(t, 5, 0)
  await raise()
  t.is([await t.sel4.Poll(notification), await t.sel4.Poll(notification)], [2, 0])
  await t.sel4.IRQHandler_Ack(handler)
  t.is(await t.sel4.Poll(notification), 2)
  await lower()
  await t.sel4.IRQHandler_Ack(handler)
  t.is(await t.sel4.Poll(notification), 0)
  await t.fails('seL4_RevokeFirst', t.sel4.IRQControl_Get(seL4_CapIRQControl, 5, OWN, t.slot(), DEPTH))
  await t.fails('seL4_RangeError', t.sel4.IRQControl_Get(seL4_CapIRQControl, 99, OWN, t.slot(), DEPTH))
  await end()
})
CASE('INTERRUPT-SHARED', 'a line of two chips is asserted while either asserts it', async (t) => {
  const { handler, notification, raise, lower, end } = await wire(t, 5, 0)
  const other = await lineOf(t, SECOND_CHIP, 0)
  const heard = async () => (await t.sel4.Poll(notification)) === 2
  const acknowledged = () => t.sel4.IRQHandler_Ack(handler).then(heard)
  await raise()
  await other.raise()
  t.is([await heard(), await heard()], [true, false], 'once for both')
  await lower()
  t.is(await acknowledged(), true, "the other's")
  await other.lower()
  t.is(await acknowledged(), false, "nobody's")
  await other.raise()
  t.is(await heard(), true, "the other's alone")
  await other.lower()
  await other.end()
  await end()
})
CASE('INTERRUPT-MSI', 'each message of a vector is one interrupt, no acknowledgement needed', async (t) => {
  const { notification, raise, end } = await wire(t, 24, 2)
  for (let round = 0; round < 3; round++) {
    await raise()
    t.is(await t.sel4.Poll(notification), 2)
  }
  await end()
})
CASE('INTERRUPT-TWO', 'two handlers, two notifications: neither hears the other', async (t) => {
  const level = await wire(t, 5, 0)
  const edge = await wire(t, 6, 1)
  await edge.raise()
  t.is([await t.sel4.Poll(level.notification), await t.sel4.Poll(edge.notification)], [0, 2])
  await t.sel4.IRQHandler_Clear(level.handler)
  await level.raise()
  t.is(await t.sel4.Poll(level.notification), 0)
  await level.lower()
  await level.end()
  await edge.end()
})
CASE(
  'INTERRUPT-RIGHTS',
  'what is signalled may be sent to, and is held by a capability that a revoke finds',
  async (t) => {
    const { handler, notification, raise, end } = await wire(t, 6, 1)
    const set = (cap: number) => t.sel4.IRQHandler_SetNotification(handler, cap)
    await t.fails('seL4_InvalidCapability', set(await t.copy(notification, RIGHTS.read)))
    await t.fails('seL4_InvalidCapability', set(await t.endpoint()))
    const badged = await t.mint(notification, 8)
    await set(badged)
    await t.delete(badged)
    await raise()
    t.is(await t.sel4.Poll(notification), 8, 'its own capability is not the one deleted')
    await t.revoke(notification)
    await raise()
    t.is(await t.sel4.Poll(notification), 0, 'revoked')
    await set(notification)
    t.is(await t.soon(t.sel4.Wait(notification)), 1, 'it waited')
    await t.delete(handler)
    await raise()
    t.is(await t.sel4.Poll(notification), 0, 'without a handler nothing is signalled')
    await end()
  },
)
CASE('TIMER0001', 'time moves', async (t) => {
  const before = t.env.clock.now()
  await t.env.clock.sleep(5)
  t.is(t.env.clock.now() > before, true)
})
CASE('TIMER0002', 'timeouts arrive in order', async (t) => {
  const heard: number[] = []
  for (const after of [30, 10, 20]) t.env.clock.alarm(after, () => heard.push(after))
  await t.env.clock.sleep(60)
  t.is(heard, [10, 20, 30])
})
