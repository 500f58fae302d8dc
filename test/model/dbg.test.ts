import { Run } from './run.ts'
it('dbg', async () => {
  const run = new Run(1)
  await run.go(20).catch((e) => console.log(e.message))
  const m = run.model as any
  for (const l of (run as any).lives.slice(0,2)) console.log(l.name, [...l.cspace.slots].map(([i,c]: any) => `${i}:${c.thing} g${c.guard}/${c.guardBits}`))
  console.log([...(run as any).rootLife.cspace.slots].map(([i,c]: any) => `${i}:${c.thing} g${c.guard}/${c.guardBits}`).slice(0, 20))
})
