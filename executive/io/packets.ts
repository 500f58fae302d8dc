/**
 * What a driver is to be told, in order, and the pulls it parks until there is something.
 *
 *   send(packet)     into the answer of the oldest parked pull, in this turn, with whatever else the turn brings
 *   mention(packet)  with the next batch that goes anyway, or when MENTIONS_MAX of them wait
 *   pull(wait)       a batch: at most PACKETS_MAX, and never more bytes than a message may have
 *   hold() / flow()  while a driver comes back, only urgent packets (the replay) pass; the rest keeps its order
 *   reset()          the driver died: nothing of its old life reaches the new one
 *
 * Knows nothing of IRPs but whether a request was taken back before it was delivered.
 */
import { PACKETS_MAX, type ServerPacket } from '#contracts/wdm'

/** A request on its way: marked when it goes out, or called back before. */
export interface Delivery {
  sent: boolean
  recalled: boolean
}
interface Entry {
  readonly packet: ServerPacket
  readonly delivery: Delivery | undefined
}
/** A batch is one message; inline data of 128 full pages would be 512 KiB. */
const BATCH_BYTES = 256 * 1024
/** Fixed fields of a request, generously. */
const PACKET_BYTES = 128
/** So many mentions are worth a message of their own: a driver's memory of what is over stays small. */
const MENTIONS_MAX = 64

export class PacketQueue {
  private outbox: Entry[] = []
  private held: Entry[] = []
  private mentions: ServerPacket[] = []
  private pulls: ((batch: ServerPacket[]) => void)[] = []
  private answering = false
  private holding = false

  get length(): number {
    return this.outbox.length + this.held.length
  }
  get parked(): number {
    return this.pulls.length
  }
  send(packet: ServerPacket, delivery?: Delivery, urgent = false): void {
    if (this.holding && !urgent) {
      this.held.push({ packet, delivery })
      return
    }
    this.outbox.push({ packet, delivery })
    this.answerSoon()
  }
  mention(packet: ServerPacket): void {
    this.mentions.push(packet)
    if (this.mentions.length >= MENTIONS_MAX) this.answerSoon()
  }
  hold(): void {
    this.holding = true
  }
  flow(): void {
    this.holding = false
    this.outbox.push(...this.held.splice(0))
    this.answerSoon()
  }
  reset(): void {
    this.outbox = []
    this.held = []
    this.mentions = []
    // A pull of the dead process is never answered.
    this.pulls = []
  }

  pull(wait: boolean): ServerPacket[] | Promise<ServerPacket[]> {
    const batch = this.take()
    return batch.length > 0 || !wait ? batch : new Promise((resolve) => this.pulls.push(resolve))
  }
  private answerSoon(): void {
    if (this.answering || this.pulls.length === 0) return
    this.answering = true
    void Promise.resolve().then(() => this.answer())
  }
  private answer(): void {
    this.answering = false
    while (this.pulls.length > 0) {
      const batch = this.take()
      if (batch.length === 0) return
      this.pulls.shift()?.(batch)
    }
  }

  private take(): ServerPacket[] {
    const batch: ServerPacket[] = []
    const room = PACKETS_MAX - this.mentions.length
    let bytes = 0
    let i = 0
    for (; i < this.outbox.length && batch.length < room; i++) {
      const { packet, delivery } = this.outbox[i]
      if (delivery?.recalled) continue
      bytes += sizeOf(packet)
      if (bytes > BATCH_BYTES && batch.length > 0) break
      if (delivery) delivery.sent = true
      batch.push(packet)
    }
    if (i === this.outbox.length) this.outbox = []
    else this.outbox.splice(0, i)
    if (batch.length === 0 && this.mentions.length < MENTIONS_MAX) return batch
    // First: an IRP that is over may be in the same batch as a request, begun again from above.
    return [...this.mentions.splice(0, PACKETS_MAX - batch.length), ...batch]
  }
}

function sizeOf(packet: ServerPacket): number {
  switch (packet.kind) {
    case 'Request':
      return PACKET_BYTES + (packet.Input?.byteLength ?? 0) + (packet.Mdl?.Runs.length ?? 0) * 5
    case 'IoCompleted':
      return (
        PACKET_BYTES +
        (packet.Response?.kind === 'Data' ? packet.Response.Bytes.byteLength : packet.Response ? 2048 : 0)
      )
    default:
      return 16
  }
}
