/**
 * Packets on their way to the Executive, in the order the driver produced them.
 *
 *   open()                     DriverEntry has succeeded: asks for packets from now on
 *   post(packet, processed?)   goes out at the end of this turn; `processed` runs when the Executive is known to have handled it
 *   flush()                    now: before any service call, so that calls never overtake packets
 *
 * A batch is the next pull, as long as there is one to make: up to PULLS_MAX are parked with the Executive, and one without
 * packets goes out only when none is left. Else it is a send without answer. When someone waits to hear that it was processed,
 * it is a call that takes no packets in return for long, because it does not wait.
 */
import { toWire } from '#contracts/field'
import { type DriverPacket, PACKETS_MAX, PULLS_MAX, type ServerPacket, WdmServices } from '#contracts/wdm'
import type { Client } from '#contracts/interface'
import type { CPtr, Sel4 } from '#sel4/api'

interface Posted {
  readonly packet: DriverPacket
  readonly processed?: () => void
}

export class Outbox {
  private queue: Posted[] = []
  private scheduled = false
  private opened = false
  /** Pulls not answered yet. */
  private pulls = 0
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

  open(): void {
    this.opened = true
    this.flush()
  }

  post(packet: DriverPacket, processed?: () => void): void {
    this.queue.push({ packet, processed })
    this.flushSoon()
  }
  private flushSoon(): void {
    if (this.scheduled) return
    this.scheduled = true
    void Promise.resolve().then(() => this.flush())
  }

  flush(): void {
    this.scheduled = false
    while (this.queue.length > 0 && !this.stopped) this.transmit(this.queue.splice(0, PACKETS_MAX))
    if (this.opened && this.pulls === 0 && !this.stopped) this.pull([])
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
    if (this.opened && this.pulls < PULLS_MAX) {
      this.pull(Packets)
      return
    }
    const method = WdmServices.methods.WdmSubmitIoPackets
    this.sel4.send(this.endpoint, method.label, toWire(method.in, { Packets })).catch(this.die)
  }
  private pull(Packets: readonly DriverPacket[]): void {
    this.pulls++
    this.client.WdmRequestIoPackets({ Packets, Wait: true }).then((answer) => {
      this.pulls--
      this.arrived(answer.Packets)
      this.flushSoon()
    }, this.die)
  }
}
