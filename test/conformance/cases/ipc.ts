/** Messages between threads of one and of two address spaces, rights, replies, bound notifications, system calls. */
import { RIGHTS, seL4_CapInitThreadTCB } from '#contracts/sel4'
import { CASE, content, DEPTH, OWN, outcome, THREAD, type Tester } from '../tester.ts'

const COUNT = 20

THREAD('sender', async (sel4, [endpoint, count]) => {
  for (let i = 0; i < count; i++) await sel4.Send(endpoint, { label: 7, body: [i, 'x'.repeat(i)] })
})
THREAD('caller', async (sel4, [endpoint, report, count]) => {
  let sum = 0
  for (let i = 0; i < count; i++) sum += (await sel4.Call(endpoint, { label: 1, body: i })).body as number
  await sel4.Send(report, { label: sum })
})
THREAD('doubler', async (sel4, [endpoint]) => {
  let { body } = await sel4.Recv(endpoint)
  for (;;) ({ body } = await sel4.ReplyRecv(endpoint, { label: 0, body: 2 * (body as number) }))
})
THREAD('replier', async (sel4, [endpoint]) => {
  for (;;) {
    const { body } = await sel4.Recv(endpoint)
    await sel4.Reply({ label: 0, body: 2 * (body as number) })
  }
})
THREAD('nbsender', async (sel4, [endpoint, done]) => {
  for (let i = 0; i < 5; i++) await sel4.NBSend(endpoint, { label: i })
  await sel4.Signal(done)
})
async function sendRecv(t: Tester, away: boolean): Promise<void> {
  const endpoint = await t.endpoint()
  await t.start('sender', [await t.mint(endpoint, 42), COUNT], { away })
  for (let i = 0; i < COUNT; i++) t.is(content(await t.sel4.Recv(endpoint)), [42, 7, [i, 'x'.repeat(i)]])
}
async function callWith(t: Tester, server: string, away: boolean): Promise<void> {
  const [endpoint, report] = [await t.endpoint(), await t.endpoint()]
  await t.start('caller', [endpoint, report, COUNT], { away })
  await t.start(server, [endpoint])
  t.is((await t.soon(t.sel4.Recv(report))).label, COUNT * (COUNT - 1))
}
async function nbSend(t: Tester, away: boolean): Promise<void> {
  const [endpoint, done] = [await t.endpoint(), await t.notification()]
  await t.start('nbsender', [endpoint, done], { away })
  await t.sel4.Wait(done)
  t.is(await t.sel4.NBRecv(endpoint), undefined, 'nobody waited: dropped')
  const waiting = t.sel4.Recv(endpoint)
  await t.settle()
  await t.start('nbsender', [endpoint, done], { away })
  t.is((await t.soon(waiting)).label, 0)
}
for (const [away, base, text] of [
  [false, 'IPC000', 'within an address space'],
  [true, 'IPC100', 'between address spaces'],
] as const) {
  CASE(`${base}1`, `Send and Recv ${text}`, (t) => sendRecv(t, away))
  CASE(`${base}2`, `Call and ReplyRecv ${text}`, (t) => callWith(t, 'doubler', away))
  CASE(`${base}3`, `Call, Reply and Recv ${text}`, (t) => callWith(t, 'replier', away))
  CASE(`${base}4`, `NBSend and Recv ${text}`, (t) => nbSend(t, away))
}
CASE('IPC0010', 'suspension in the middle of a Call: resumed, it calls again', async (t) => {
  const [endpoint, report] = [await t.endpoint(), await t.endpoint()]
  const tcb = await t.start('call once', [endpoint, report, 3], { away: true })
  t.is((await t.sel4.Recv(endpoint)).label, 3)
  await t.sel4.TCB_Suspend(tcb)
  await t.sel4.Reply({ label: 8 })
  await t.sel4.TCB_Resume(tcb)
  t.is((await t.soon(t.sel4.Recv(endpoint))).label, 3)
  await t.sel4.Reply({ label: 9 })
  t.is((await t.soon(t.sel4.Recv(report))).label, 9)
})

CASE('IPCRIGHTS0001', 'write to send', async (t) => {
  const endpoint = await t.endpoint()
  const unwritable = await t.copy(endpoint, RIGHTS.all & ~RIGHTS.write)
  await t.fails('seL4_InvalidCapability', t.sel4.Send(unwritable, { label: 1 }))
  const waiting = t.sel4.Recv(endpoint)
  await t.settle()
  await t.start('sender', [await t.copy(endpoint, RIGHTS.write), 1])
  t.is((await t.soon(waiting)).label, 7)
})
CASE('IPCRIGHTS0002', 'read to receive', async (t) => {
  const endpoint = await t.endpoint()
  await t.fails('seL4_FailedLookup', t.sel4.Recv(await t.copy(endpoint, RIGHTS.all & ~RIGHTS.read)))
  await t.start('sender', [endpoint, 1])
  t.is((await t.sel4.Recv(await t.copy(endpoint, RIGHTS.read))).label, 7)
})
THREAD('send a cap', async (sel4, [endpoint, cap]) => sel4.Send(endpoint, { label: 1, caps: [cap] }))
CASE('IPCRIGHTS0003', 'grant to move capabilities; one to the endpoint itself shows its badge', async (t) => {
  const [endpoint, gift, slot] = [await t.endpoint(), await t.notification(), t.slot()]
  t.sel4.SetCapReceivePath(OWN, slot, DEPTH)
  await t.start('send a cap', [await t.copy(endpoint, RIGHTS.write), gift], { away: true })
  t.is((await t.sel4.Recv(endpoint)).caps, 0)
  await t.fails('seL4_FailedLookup', t.copy(slot))
  await t.start('send a cap', [endpoint, gift], { away: true })
  const { caps, unwrapped } = await t.sel4.Recv(endpoint)
  t.is([caps, unwrapped], [1, 0])
  await t.sel4.Signal(slot)
  t.is(await t.sel4.Poll(gift), 1)
  await t.start('send a cap', [endpoint, await t.mint(endpoint, 77)])
  const shown = await t.sel4.Recv(endpoint)
  t.is([shown.caps, shown.unwrapped, shown.badges], [1, 1, [77]])
})
CASE('IPCRIGHTS0004', 'grant or grant-reply to be answered', async (t) => {
  const [endpoint, report] = [await t.endpoint(), await t.endpoint()]
  for (const [rights, answerable] of [
    [RIGHTS.write | RIGHTS.grant, true],
    [RIGHTS.write | RIGHTS.grantReply, true],
    [RIGHTS.write, false],
  ] as const) {
    const tcb = await t.start('call once', [await t.copy(endpoint, rights), report, 1], { away: true })
    t.is((await t.sel4.Recv(endpoint)).answerable, answerable)
    await t.sel4.Reply({ label: 5 })
    if (answerable) t.is((await t.soon(t.sel4.Recv(report))).label, 5)
    else {
      await t.settle()
      t.is(await t.sel4.NBRecv(report), undefined, 'a caller that may not be answered stays')
    }
    await t.delete(tcb)
  }
})
THREAD('call for a cap', async (sel4, [endpoint, report, root, slot]) => {
  sel4.SetCapReceivePath(root, slot, 32)
  const { caps } = await sel4.Call(endpoint, { label: 1 })
  await sel4.Send(report, { label: caps })
})
CASE('IPCRIGHTS0005', "an answer's capabilities need the grant right of the receive", async (t) => {
  const [endpoint, report, gift] = [await t.endpoint(), await t.endpoint(), await t.notification()]
  for (const [rights, moved] of [
    [RIGHTS.all, 1],
    [RIGHTS.read, 0],
  ] as const) {
    const slot = t.slot()
    await t.start('call for a cap', [endpoint, report, OWN, slot], { away: true })
    await t.sel4.Recv(await t.copy(endpoint, rights))
    await t.sel4.Reply({ label: 0, caps: [gift] })
    t.is((await t.soon(t.sel4.Recv(report))).label, moved)
    t.is(await outcome(t.copy(slot)), moved ? 'ok' : 'seL4_FailedLookup')
  }
})

CASE('SYSCALL0006', 'a word on the log needs no capability', async (t) => t.env.log.debug('a word'))
CASE('SYSCALL0010', 'Recv waits, and takes what waits', async (t) => {
  const endpoint = await t.endpoint()
  let taken = false
  const receiving = t.sel4.Recv(endpoint).then(() => (taken = true))
  await t.settle()
  t.is(taken, false)
  await t.start('sender', [endpoint, 1])
  await t.soon(receiving)
})
CASE('SYSCALL0011', 'ReplyRecv answers, then receives', async (t) => {
  const [endpoint, report] = [await t.endpoint(), await t.endpoint()]
  await t.start('caller', [endpoint, report, 1])
  await t.sel4.Recv(endpoint)
  t.is((await t.soon(t.sel4.ReplyRecv(report, { label: 0, body: 6 }))).label, 6)
})
const nbRecv = async (t: Tester) => {
  const endpoint = await t.endpoint()
  t.is(await t.sel4.NBRecv(endpoint), undefined)
  await t.start('sender', [endpoint, 1])
  await t.settle()
  t.is((await t.sel4.NBRecv(endpoint))?.label, 7)
}
CASE('SYSCALL0012', 'NBRecv never waits', nbRecv)
CASE('NBWAIT0001', 'NBRecv on an endpoint and Poll on a notification', async (t) => {
  await nbRecv(t)
  const notification = await t.notification()
  t.is(await t.sel4.Poll(notification), 0)
  await t.sel4.Signal(await t.mint(notification, 4))
  await t.sel4.Signal(await t.mint(notification, 2))
  t.is([await t.sel4.Poll(notification), await t.sel4.Poll(notification)], [6, 0])
})
CASE('SYSCALL0013', 'Wait waits for a signal', async (t) => {
  const notification = await t.notification()
  const waiting = t.sel4.Wait(notification)
  await t.settle()
  await t.sel4.Signal(await t.mint(notification, 8))
  t.is(await t.soon(waiting), 8)
})
CASE('SYSCALL0018', 'NBSend and Recv in one', async (t) => {
  const [endpoint, other] = [await t.endpoint(), await t.endpoint()]
  await t.start('sender', [other, 1])
  t.is((await t.soon(t.sel4.NBSendRecv(endpoint, { label: 1 }, other))).label, 7)
})
THREAD('unknown', async (sel4, [report]) => {
  const answer = await sel4.unknownSyscall(99)
  await sel4.Send(report, { label: 1, body: answer })
})
for (const [name, away] of [
  ['UNKNOWN_SYSCALL_001', false],
  ['PAGEFAULT0004', false],
  ['PAGEFAULT1004', true],
] as const)
  CASE(name, 'an unknown system call is a fault; the answer resumes', async (t) => {
    const [handler, report] = [await t.endpoint(), await t.endpoint()]
    await t.start('unknown', [report], { away, faultEp: await t.mint(handler, 5) })
    t.is(content(await t.soon(t.sel4.Recv(handler))), [5, 2, ['unknown', 512 + 99]])
    await t.sel4.Reply({ label: 0, body: 'go on' })
    t.is(content(await t.soon(t.sel4.Recv(report))), [0, 1, 'go on'])
  })

async function bound(t: Tester): Promise<{ endpoint: number; badged: number; notification: number }> {
  const [endpoint, notification] = [await t.endpoint(), await t.notification()]
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_BindNotification(seL4_CapInitThreadTCB, endpoint))
  await t.sel4.TCB_BindNotification(seL4_CapInitThreadTCB, notification)
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_BindNotification(seL4_CapInitThreadTCB, notification))
  return { endpoint, notification, badged: await t.mint(notification, 0x10) }
}
THREAD('signal then send', async (sel4, [notification, endpoint]) => {
  await sel4.Signal(notification)
  await sel4.Send(endpoint, { label: 3 })
})
THREAD('send then signal', async (sel4, [notification, endpoint]) => {
  await sel4.Send(endpoint, { label: 3 })
  await sel4.Signal(notification)
})
CASE('BIND0002', 'a bound thread waits on its notification as on any other', async (t) => {
  const { badged, notification } = await bound(t)
  const waiting = t.sel4.Wait(notification)
  await t.settle()
  await t.sel4.Signal(badged)
  t.is(await t.soon(waiting), 0x10)
  await t.sel4.TCB_UnbindNotification(seL4_CapInitThreadTCB)
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_UnbindNotification(seL4_CapInitThreadTCB))
})
for (const [name, body, order] of [
  ['BIND0003', 'send then signal', [0, 0x10]],
  ['BIND0004', 'signal then send', [0x10, 0]],
] as const)
  CASE(name, `while it receives it hears both, in order: ${body}`, async (t) => {
    const { endpoint, badged } = await bound(t)
    const first = t.sel4.Recv(endpoint)
    await t.settle()
    await t.start(body, [badged, endpoint], { away: true })
    t.is([(await t.soon(first)).badge, (await t.soon(t.sel4.Recv(endpoint))).badge], order)
    await t.sel4.TCB_UnbindNotification(seL4_CapInitThreadTCB)
  })
