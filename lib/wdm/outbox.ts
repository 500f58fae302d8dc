/**
 * Packets on their way to the Executive, in the order the driver produced them.
 *
 *   post(packet, processed?)   goes out at the end of this turn; `processed` runs when the Executive is known to have handled it
 *   flush()                    now: before any service call, so that calls never overtake packets
 *   take()                     what the next pull carries along
 *
 * A batch is a send without answer, unless someone waits to hear that it was processed: then it is a call that takes no packets
 * in return for long, because it does not wait.
 */
import { toWire } from '#contracts/field'
import { type DriverPacket, PACKETS_MAX, type ServerPacket, WdmServices } from '#contracts/wdm'
import type { Client } from '#contracts/interface'
import type { CPtr, Sel4 } from '#sel4/api'

interface Posted {
  readonly packet: DriverPacket
  readonly processed?: () => void
}

export class Outbox {
  private queue: Posted[] = []
  private scheduled = false
  private stopped = false
  private readonly sel4: Sel4
  private readonly endpoint: CPtr
  private readonly client: Client<typeof WdmServices>
  private readonly arrived: (packets: readonly ServerPacket[]) => void
  private readonly die: (error: unknown) => void

  constructor(
    sel4: Sel4,
    endpoint: CPtr,
    client: Client<typeof WdmServices>,
    arrived: (packets: readonly ServerPacket[]) => void,
    die: (error: unknown) => void,
  ) {
    this.sel4 = sel4
    this.endpoint = endpoint
    this.client = client
    this.arrived = arrived
    this.die = die
  }

  stop(): void {
    this.stopped = true
    this.queue = []
  }

  post(packet: DriverPacket, processed?: () => void): void {
    this.queue.push({ packet, processed })
    if (this.scheduled) return
    this.scheduled = true
    void Promise.resolve().then(() => this.flush())
  }

  flush(): void {
    this.scheduled = false
    while (this.queue.length > 0 && !this.stopped) this.transmit(this.queue.splice(0, PACKETS_MAX))
  }

  /** For a pull, which may stay parked: so only packets nobody waits for. */
  take(): DriverPacket[] {
    if (this.queue.length > PACKETS_MAX || this.queue.some(({ processed }) => processed)) this.flush()
    return this.queue.splice(0).map(({ packet }) => packet)
  }

  private transmit(batch: Posted[]): void {
    const Packets = batch.map(({ packet }) => packet)
    if (batch.some(({ processed }) => processed)) {
      this.client.WdmRequestIoPackets({ Packets, Wait: false }).then((answer) => {
        for (const { processed } of batch) processed?.()
        this.arrived(answer.Packets)
      }, this.die)
      return
    }
    const method = WdmServices.methods.WdmSubmitIoPackets
    this.sel4.send(this.endpoint, method.label, toWire(method.in, { Packets })).catch(this.die)
  }
}
