import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { Router } from 'zeromq'
import { addressOf, BOUNDED, gateOf, ZeromqTransport } from './zeromq.ts'

/** More than libzmq's binding sends in one go before it turns to its event loop. */
const MANY = 2000

describe('the transport of sockets', () => {
  let run: string
  let kernel: Router
  let transport: ZeromqTransport
  beforeEach(async () => {
    run = mkdtempSync(join(tmpdir(), 'neptune-zeromq-'))
    mkdirSync(join(run, 's'))
    kernel = new Router({ mandatory: true, ...BOUNDED })
    await kernel.bind(gateOf(run))
    transport = new ZeromqTransport(run, 'token', addressOf(run, 'peer'))
    transport.open()
  })
  afterEach(() => {
    transport.close()
    kernel.close()
    rmSync(run, { recursive: true, force: true })
  })

  it('takes any number of messages to the kernel in one turn, and keeps their order', async () => {
    for (let i = 0; i < MANY; i++) transport.gate(Buffer.from(String(i)))
    for (let i = 0; i < MANY; i++) expect((await kernel.receive())[1].toString()).equal(String(i))
  })
  it('so to a peer', async () => {
    const received: string[] = []
    transport.listen(
      () => {},
      (_identity, message) => received.push(message.toString()),
    )
    const link = transport.connect(addressOf(run, 'peer'), 'caller', () => {})
    for (let i = 0; i < MANY; i++) link.send(Buffer.from(String(i)))
    while (received.length < MANY) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(received).deep.equal(Array.from({ length: MANY }, (_, i) => String(i)))
    link.close()
  })
})
