/**
 * A mapped device frame, the driver's side: writes are posted into the shared ring with one doorbell for each batch (none
 * for quiet registers), a read is served from the shared page when the device has taken every write posted so far, else by
 * a request that pushes them. A mapping ends with its device: what was set up is gone, and a register at its power-on value
 * would be taken for an answer. Then writes go nowhere and reads fail with serverDied; who wants the device's next life
 * maps it again.
 */
import { PUSH_ONLY } from './access.ts'
import { type Registers, Sel4Error } from './api.ts'
import { DriverRegisters } from './memory/registers.ts'
import type { Route } from './under-way.ts'
import type { Runtime } from './runtime.ts'
import type { RouteInfo } from './transport.ts'
import { KIND } from './wire.ts'

export class MappedRegisters implements Registers {
  readonly physicalAddress: number
  readonly length: number
  private readonly runtime: Runtime
  private readonly route: Route
  private readonly region: Uint8Array
  private shared: DriverRegisters
  private session: number
  /** Of the device, counted along the route. */
  private readonly life: number
  /** Writes that found the ring full, in order. */
  private overflow: { offset: number; value: number }[] = []
  private pushing?: Promise<void>
  private bellPending = false

  constructor(runtime: Runtime, route: Route) {
    const { physicalAddress, length, extent } = (route.info as RouteInfo).frame as NonNullable<RouteInfo['frame']>
    this.runtime = runtime
    this.route = route
    this.physicalAddress = physicalAddress
    this.length = length
    this.region = runtime.transport.map(extent)
    this.shared = new DriverRegisters(this.region, length)
    this.session = route.session
    this.life = route.deaths
  }

  write32(offset: number, value: number): void {
    if (this.ended) return
    if (this.stale()) this.reopen()
    const posted = !this.overflow.length && !this.stale() && this.shared.post(offset, value)
    if (!posted) this.overflow.push({ offset, value })
    if (!posted || !this.shared.isQuiet(offset)) this.ring()
  }
  async read32(offset: number): Promise<number> {
    this.mustLive()
    if (this.overflow.length || this.stale()) await this.push()
    const published = this.shared.readPublished(offset)
    if (published !== undefined) return published
    const { body } = await this.runtime.routes.reach(this.route.cptr, KIND.MMIO_READ, offset, null)
    this.mustLive()
    return body as number
  }
  async flush(): Promise<void> {
    this.mustLive()
    if (this.overflow.length || this.stale()) await this.push()
    if (!this.shared.consumedAll()) await this.request(PUSH_ONLY)
  }
  /** As flush, but a dead device has nothing left to take. */
  async settle(): Promise<void> {
    if (!this.stale()) await this.flush().catch(() => {})
  }

  private get ended(): boolean {
    return this.route.deaths !== this.life
  }
  private mustLive(): void {
    if (this.ended) throw new Sel4Error('serverDied')
  }
  private stale(): boolean {
    return this.route.session !== this.session
  }
  private async request(offset: number): Promise<void> {
    await this.runtime.routes.reach(this.route.cptr, KIND.MMIO_READ, offset, null)
  }
  /** One doorbell after everything this turn posts. */
  private ring(): void {
    if (this.bellPending) return
    this.bellPending = true
    queueMicrotask(() => {
      this.bellPending = false
      if (this.overflow.length) void this.push().catch(() => {})
      else this.runtime.routes.nudge(this.route, KIND.DOORBELL)
    })
  }
  private reopen(): void {
    if (this.route.state === 'open') this.renew()
  }
  private renew(): void {
    this.shared = new DriverRegisters(this.region, this.length)
    this.session = this.route.session
  }
  private push(): Promise<void> {
    this.pushing ??= this.pushAll().finally(() => (this.pushing = undefined))
    return this.pushing
  }
  private async pushAll(): Promise<void> {
    await this.runtime.routes.openRoute(this.route.cptr)
    this.mustLive()
    if (this.stale()) this.renew()
    while (this.overflow.length) {
      const { offset, value } = this.overflow[0]
      if (this.shared.post(offset, value)) this.overflow.shift()
      else await this.request(PUSH_ONLY)
    }
    this.runtime.routes.nudge(this.route, KIND.DOORBELL)
  }
}
