/** Threads: their spaces, suspending, priorities. */
import { seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace } from '#contracts/sel4'
import { CASE, OWN, THREAD, type Tester } from '../tester.ts'

const SPACE = seL4_CapInitThreadVSpace

const configureNull = async (t: Tester) => {
  const tcb = await t.alloc('seL4_TCBObject')
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_Configure(tcb, 0, 0, 0, SPACE, 0, 0, 0))
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_SetSpace(tcb, 0, 0, 0, SPACE, 0))
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_Resume(tcb))
}
CASE('THREADS0004', 'Configure with a null CSpace fails', configureNull)
CASE('THREADS0005', 'SetSpace with a null CSpace fails', configureNull)
THREAD('count', async (sel4, [report]) => {
  for (let i = 1; ; i++) {
    await sel4.NBSend(report, { label: i })
    await sel4.Yield()
  }
})
for (const [name, away] of [
  ['SCHED0000', false],
  ['SCHED0003', true],
] as const)
  CASE(name, 'suspended it stands still, resumed it goes on', async (t) => {
    const report = await t.endpoint()
    const tcb = await t.start('count', [report], { away })
    const before = (await t.soon(t.sel4.Recv(report))).label
    await t.sel4.TCB_Suspend(tcb)
    const silent = t.sel4.Recv(report)
    let heard = false
    void silent.then(() => (heard = true))
    await t.settle()
    await t.settle()
    t.is(heard, false, 'a suspended thread spoke')
    await t.sel4.TCB_Resume(tcb)
    t.is((await t.soon(silent)).label >= before, true)
  })
THREAD('resume itself', async (sel4, [tcb, report]) => {
  await sel4.TCB_Resume(tcb)
  await sel4.Send(report, { label: 1 })
})
CASE('SCHED0002', 'resuming oneself changes nothing', async (t) => {
  const report = await t.endpoint()
  await t.sel4.TCB_Resume(seL4_CapInitThreadTCB)
  const tcb = await t.start('resume itself', [0, report], { suspended: true })
  await t.sel4.TCB_WriteRegisters(tcb, 1, 'resume itself', [tcb, report])
  t.is((await t.soon(t.sel4.Recv(report))).label, 1)
})
CASE('SCHED0005', "priorities: at most the authority's", async (t) => {
  const tcb = await t.start('count', [await t.endpoint()], { suspended: true })
  const set = (authority: number, priority: number) => t.sel4.TCB_SetPriority(tcb, authority, priority)
  await set(seL4_CapInitThreadTCB, 100)
  await t.fails('seL4_RangeError', set(seL4_CapInitThreadTCB, 256))
  await t.fails('seL4_RangeError', set(tcb, 1))
  await t.sel4.TCB_SetMCPriority(tcb, seL4_CapInitThreadTCB, 50)
  await set(tcb, 50)
  await t.fails('seL4_RangeError', set(tcb, 51))
  await t.fails('seL4_InvalidCapability', set(OWN, 1))
})
