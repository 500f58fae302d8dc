/**
 * The transport between OS processes: a DEALER to the kernel's gate, a ROUTER of our own where peers connect, a DEALER
 * for each peer we call. All on ipc sockets in the run directory, which only this user can enter.
 *
 * A sender has no high-water mark: a send never waits, never meets EBUSY, and loses nothing. What may be under way is
 * bounded by credits; what comes without any is bounded at its receiver, whose socket takes in so much of one peer and
 * leaves the rest in that peer's own memory, where it counts against that peer's limit. A ROUTER is mandatory; a peer that
 * is gone is no error here, the kernel tells of its death.
 */
import { Dealer, Router } from 'zeromq'
import { openBank, takeAway } from './memory/bank.ts'
import type { Extent, PeerLink, ProcessTransport } from './transport.ts'
import { MESSAGE_MAX } from './wire.ts'

/** Libzmq's own: an id of a peer that is gone. */
const GONE = new Set(['EHOSTUNREACH', 'ENOTSOCK', 'EAGAIN', 'ECONNREFUSED'])
/**
 * A ROUTER's pipe to a dying peer refuses messages for a moment. Waiting for it would make the socket busy for everyone else,
 * so such a message is dropped at once: its receiver is dead, and the kernel tells of it. A socket that may wait also puts
 * every 512th message of a run off to the next turn, is busy until then, and, when it receives as well, may miss that there
 * is room again (zeromq.js 6.8.0 takes in the event while it looks for another).
 */
export const NEVER_WAIT = { sendTimeout: 0 } as const
/**
 * Of one peer, read but not yet taken: eight sessions' windows. Full, libzmq stops reading that peer's connection, and goes
 * on when half of it is taken; the others' are read as ever, in turn.
 */
const WAITING_MAX = 512
/** A longer frame than any message closes the connection before it is in memory. */
export const BOUNDED = {
  sendHighWaterMark: 0,
  receiveHighWaterMark: WAITING_MAX,
  maxMessageSize: MESSAGE_MAX,
  linger: 0,
} as const
const SCHEME = 'ipc://'
export const addressOf = (run: string, name: string): string => `${SCHEME}${run}/s/${name}`
/** The socket's, which stays when its process is killed. */
export const fileOf = (address: string): string => address.slice(SCHEME.length)
export const gateOf = (run: string): string => addressOf(run, 'gate')

export function peerGone(error: unknown): void {
  if (!GONE.has((error as { code?: string }).code ?? '')) throw error
}

export class ZeromqTransport implements ProcessTransport {
  private readonly gateSocket: Dealer
  private readonly router: Router
  private readonly run: string
  private readonly address: string
  private readonly mapped = new Map<string, Uint8Array>()

  constructor(run: string, token: string, address: string) {
    this.run = run
    this.address = address
    this.gateSocket = new Dealer({ routingId: token, ...NEVER_WAIT, ...BOUNDED })
    this.router = new Router({ mandatory: true, handover: false, ...NEVER_WAIT, ...BOUNDED })
  }
  /** Bound at once: the other way starts the thread pool first, for which nothing else here has a use. */
  open(): void {
    this.router.bindSync(this.address)
    this.gateSocket.connect(gateOf(this.run))
  }
  gate(message: Buffer): void {
    // The kernel's socket would close the connection, and whoever asked would wait for ever.
    if (message.length > MESSAGE_MAX) throw new Error(`a message of ${message.length} bytes to the kernel`)
    this.gateSocket.send(message).catch(peerGone)
  }
  answer(identity: Buffer, message: Buffer): void {
    this.router.send([identity, message]).catch(peerGone)
  }
  listen(gate: (message: Buffer) => void, peer: (identity: Buffer, message: Buffer) => void): void {
    void this.receiveGate(gate)
    void this.receivePeers(peer)
  }
  private async receiveGate(handle: (message: Buffer) => void): Promise<void> {
    for (;;) handle((await this.gateSocket.receive())[0])
  }
  private async receivePeers(handle: (identity: Buffer, message: Buffer) => void): Promise<void> {
    for (;;) {
      const parts = await this.router.receive()
      if (parts.length === 2) handle(parts[0], parts[1])
    }
  }
  connect(address: string, identity: string, receive: (message: Buffer) => void): PeerLink {
    const socket = new Dealer({ routingId: identity, ...NEVER_WAIT, ...BOUNDED })
    socket.connect(address)
    void receiveFrom(socket, receive)
    return {
      send: (message) => void socket.send(message).catch(peerGone),
      close: () => socket.close(),
    }
  }
  map(extent: Extent): Uint8Array {
    const key = keyOf(extent)
    let bytes = this.mapped.get(key)
    if (!bytes) {
      bytes = openBank(extent.path, extent.length, { writable: extent.writable, offset: extent.offset }).bytes
      this.mapped.set(key, bytes)
    }
    return bytes
  }
  unmap(extent: Extent): void {
    const bytes = this.mapped.get(keyOf(extent))
    if (bytes) takeAway(bytes)
    this.mapped.delete(keyOf(extent))
  }
  /** Waits until what was sent to the kernel is with it, as far as that can be known. */
  close(): void {
    this.gateSocket.linger = 1000
    this.gateSocket.close()
  }
}
const keyOf = ({ path, offset, length, writable }: Extent): string => `${path} ${offset} ${length} ${writable}`
/** Until it is closed: that ends the receive under way with an error. */
async function receiveFrom(socket: Dealer, receive: (message: Buffer) => void): Promise<void> {
  for (;;) {
    let message: Buffer
    try {
      ;[message] = await socket.receive()
    } catch (error) {
      if (socket.closed) return
      throw error
    }
    receive(message)
  }
}
