import { expect } from 'chai'
import { cpuMsOf, memoryOf, memoryRows } from './memory.ts'

const MB = 1e6

describe('lab: memory', () => {
  it('reports every process, the largest first and once more as the figure that is promised', () => {
    const process = (name: string, own: number, shared = 0) => ({
      name,
      memory: { own: own * MB, shared: shared * MB },
    })
    const bare = [40, 50, 60].map((own) => ({ own: own * MB, shared: 0 }))
    const rows = memoryRows([process('small', 45), process('large', 70, 8), process('middle', 55, 2)], bare, 200 * MB)
    expect(rows).deep.equal([
      { case: 'rss', value: 70, unit: 'MB', baseline: 50, ratio: 1.4 },
      { case: 'rss-large', value: 70, unit: 'MB', baseline: 50, ratio: 1.4 },
      { case: 'rss-middle', value: 55, unit: 'MB', baseline: 50, ratio: 1.1 },
      { case: 'rss-small', value: 45, unit: 'MB', baseline: 50, ratio: 0.9 },
      { case: 'shmem', value: 8, unit: 'MB', baseline: 200, ratio: 0.04 },
    ])
  })
  it('reads what Node says of itself', () => {
    const { own } = memoryOf(process.pid)
    expect(own).within(process.memoryUsage.rss() * 0.8, process.memoryUsage.rss() * 1.2)
  })
  it('counts the processor time of all threads', () => {
    const before = cpuMsOf(process.pid)
    const { user, system } = process.cpuUsage()
    for (const until = process.cpuUsage().user + 60_000; process.cpuUsage().user < until; );
    const used = process.cpuUsage({ user, system })
    expect(cpuMsOf(process.pid) - before).within(50, ((used.user + used.system) / 1000) * 1.5 + 10)
  })
})
