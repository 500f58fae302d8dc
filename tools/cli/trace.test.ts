/** The file for Perfetto: tracks, nesting, arrows; and a request as text. */
import { expect } from 'chai'
import { perfetto, requests, type Seen, tree } from './trace.ts'

const span = (name: string, start: number, duration: number, span: string, parent = '', trace = 'a') => ({
  name,
  start,
  duration,
  trace,
  span,
  parent,
})
const process = (name: string, pid: number, spans: Seen['spans']): Seen => ({
  name,
  pid,
  generation: 1,
  answered: true,
  lost: 0,
  spans,
})
const seen = [
  process('server', 20, [
    span('Read', 1001, 3, 's', 'c'),
    span('part of it', 1002, 1, 'p', 's'),
    span('Read', 1002, 4, 't', 'd', 'b'),
  ]),
  process('client', 10, [
    span('→ Read', 1000, 5, 'c'),
    { ...span('→ Read', 1000, 7, 'd', '', 'b'), unfinished: true as const },
  ]),
]
type Event = Record<string, any>
const events = (kind: string): Event[] => perfetto(seen).traceEvents.filter(({ ph }) => ph === kind)

describe('the trace file', () => {
  it('has a slice for each span, in microseconds from the first, with its ids', () => {
    const [read] = events('X').filter(({ args }) => args.span === 's')
    expect(read).deep.equal({
      ph: 'X',
      cat: 'neptune',
      name: 'Read',
      pid: 20,
      tid: 20,
      ts: 1000,
      dur: 3000,
      args: { trace: 'a', span: 's', parent: 'c' },
    })
    expect(events('X').filter(({ args }) => args.unfinished)).lengthOf(1)
  })
  it('names the processes in the order given', () => {
    const about = events('M').filter(({ name }) => name === 'process_name')
    expect(about.map(({ args }) => args.name)).deep.equal(['server', 'client'])
  })
  it('puts a slice into another only when it is part of it', () => {
    const tracks = Object.fromEntries(events('X').map(({ args, tid }) => [args.span, tid]))
    expect(tracks.p).equal(tracks.s)
    expect(tracks.t).not.equal(tracks.s)
    expect(tracks.c).not.equal(tracks.d)
  })
  it('has an arrow from each cause to its effect in another process, inside both slices', () => {
    const [from, to] = [events('s'), events('f')]
    expect(from.map(({ id }) => id)).deep.equal(to.map(({ id }) => id))
    expect(from).lengthOf(2)
    for (const end of [...from, ...to]) {
      const around = events('X').filter(
        ({ pid, tid, ts, dur }) => pid === end.pid && tid === end.tid && ts <= end.ts && end.ts <= ts + dur,
      )
      expect(around).lengthOf(1)
    }
  })
  it('is empty of what nobody saw', () => {
    expect(perfetto([process('idle', 1, [])]).traceEvents.map(({ ph }) => ph)).deep.equal(['M', 'M', 'M', 'M'])
    expect(requests([process('idle', 1, [])])).deep.equal([])
  })
  it('tells a request as text: causes before effects', () => {
    const [first] = requests(seen)
    expect(
      tree(first)
        .split('\n')
        .map((line) => line.trimEnd()),
    ).deep.equal([
      'request b: 2 spans in 2 processes',
      '  from ms   took ms',
      '    0.000     7.000  client  → Read  (unfinished)',
      '    2.000     4.000  server    Read',
    ])
  })
})
