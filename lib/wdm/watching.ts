/**
 * What a trace shows of a driver: one span for each IRP it was handed, for each it sent on its own, for each interrupt and
 * DPC. The context travels in packets, so that it is the request's own, however many share a message.
 *
 *   traceOf(irp)            for a packet about this IRP
 *   received(irp, packet)   begins its span; runs what handles it under that
 *   departed / left         it was sent by this driver; it is this driver's no more
 *
 * All of it does nothing, and costs a test, while nobody watches.
 */
import { majorName } from '#contracts/wdm'
import { statusName } from '#rtl'
import type { TraceContext } from '#sel4/api'
import type { DriverHost } from './host.ts'
import type { Irp } from './irp.ts'

interface Packet {
  readonly Trace?: TraceContext
}
interface Request extends Packet {
  readonly Id: number
  readonly Device: number
  readonly MajorFunction: number
  readonly Parameters: object
}

export const traceOf = (irp: Irp): TraceContext | undefined => irp.host.env.sel4.trace?.currentOf(irp.span?.context)

export function received<T>(irp: Irp, packet: Request, handle: () => T): T {
  const { trace } = irp.host.env.sel4
  if (!trace?.enabled) return handle()
  const { Id, Device, MajorFunction, Parameters } = packet
  irp.span = trace.begin(`Request ${majorName(MajorFunction)}`, packet.Trace, { Id, Device, Parameters })
  return trace.within(irp.span, handle)
}
export function departed(irp: Irp, request: { MajorFunction: number; Parameters: object }): void {
  const { trace } = irp.host.env.sel4
  if (!trace?.enabled) return
  const { MajorFunction, Parameters } = request
  irp.span = trace.begin(`→ ${majorName(MajorFunction)}`, trace.current(), { LocalId: irp.id, Parameters })
}
/** `passedOn`: another driver answers it. */
export function left(irp: Irp, passedOn = false): void {
  if (!irp.span) return
  const { Status, Information } = irp.IoStatus
  irp.span.end(passedOn ? { passedOn } : { Status: statusName(Status), Information })
  irp.span = undefined
}
/** The answer to an IRP that was passed on. */
export function answered(irp: Irp, packet: Packet, handle: () => void): void {
  const { trace } = irp.host.env.sel4
  if (!trace?.enabled) return handle()
  const { MajorFunction = -1 } = irp.stack[Math.max(irp.current, 0)] ?? {}
  trace.span(`IoCompleted ${majorName(MajorFunction)}`, packet.Trace, { Id: irp.id }, handle)
}
/** Work of this process that something else in it caused. */
export function caused<T>(host: DriverHost, name: string, by: TraceContext | undefined, work: () => T): T {
  const { trace } = host.env.sel4
  return trace?.enabled ? trace.span(name, by, undefined, work) : work()
}
