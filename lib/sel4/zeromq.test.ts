import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { Router } from 'zeromq'
import { MESSAGE_MAX } from './wire.ts'
import { addressOf, BOUNDED, fileOf, gateOf, ZeromqTransport } from './zeromq.ts'

/** More than libzmq's binding sends in one go before it turns to its event loop. */
const MANY = 2000
/** So long a connection is looked at that should stay. */
const PATIENCE_MS = 200

/** [ZMTP 3.1] 2.2, 2.4: a DEALER with no security. */
function handshake(): Buffer {
  const greeting = Buffer.alloc(64)
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0])
  greeting.write('NULL', 12)
  const ready = Buffer.from('\x05READY\x0bSocket-Type\0\0\0\x06DEALER', 'latin1')
  return Buffer.concat([greeting, Buffer.from([0x04, ready.length]), ready])
}
/** Says that a frame of so many bytes follows; what becomes of the connection. */
async function claim(address: string, bytes: number): Promise<'closed' | 'open'> {
  const header = Buffer.alloc(9, 0x02)
  header.writeBigUInt64BE(BigInt(bytes), 1)
  const socket = connect(fileOf(address)).on('error', () => {})
  try {
    socket.write(handshake())
    await once(socket, 'data')
    socket.write(header)
    const closed = once(socket.resume(), 'close').then(() => 'closed' as const)
    return await Promise.race([closed, new Promise<'open'>((go) => setTimeout(go, PATIENCE_MS, 'open'))])
  } finally {
    socket.destroy()
  }
}

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

  it('closes a connection on which a frame longer than any message is said to follow, at the gate and at a peer', async () => {
    for (const address of [gateOf(run), addressOf(run, 'peer')]) {
      expect(await claim(address, MESSAGE_MAX)).equal('open')
      for (const bytes of [MESSAGE_MAX + 1, 2 ** 30, Number.MAX_SAFE_INTEGER])
        expect(await claim(address, bytes), `${bytes} bytes`).equal('closed')
    }
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
