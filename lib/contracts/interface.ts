/**
 * An interface: the calls one server answers, declared once.
 *
 *   INTERFACE('IoServices', { NtReadFile: { doc, in, out, errors, onServerDeath } })
 *   Client<typeof IoServices>     one async method per call: in fields as one object → out fields as one object
 *   Handlers<typeof IoServices, Caller>   what a server must supply; a missing or wrong handler does not compile
 *
 * A call's label is a hash of its name, so that order of declaration means nothing on the wire.
 */
import type { StatusName } from '#rtl'
import { type Fields, STRUCT, type Struct, type ValueOf } from './field.ts'

export interface MethodSpec {
  /** One or two sentences: what it does, units, who owns what. Printed in docs/services. */
  readonly doc: string
  readonly in: Fields
  readonly out: Fields
  /** The declared statuses; any other from a handler is a defect of the server. */
  readonly errors: readonly StatusName[]
  /** What the caller gets when the server dies before answering. */
  readonly onServerDeath: StatusName
  /** Its answer comes when there is something to tell: a tracer shows the asking, not the waiting. */
  readonly parks?: boolean
}
export interface Method<S extends MethodSpec = MethodSpec> {
  readonly name: string
  readonly label: number
  readonly spec: S
  readonly in: Struct<S['in']>
  readonly out: Struct<S['out']>
}
export interface Interface<M extends Record<string, MethodSpec> = Record<string, MethodSpec>> {
  readonly name: string
  readonly methods: { readonly [K in keyof M]: Method<M[K]> }
  readonly byLabel: ReadonlyMap<number, Method>
}
export type InOf<S extends MethodSpec> = ValueOf<S['in']>
export type OutOf<S extends MethodSpec> = ValueOf<S['out']>
export type Client<I> =
  I extends Interface<infer M> ? { [K in keyof M]: (args: InOf<M[K]>) => Promise<OutOf<M[K]>> } : never
export type Handlers<I, Caller> =
  I extends Interface<infer M>
    ? { [K in keyof M]: (args: InOf<M[K]>, caller: Caller) => Promise<OutOf<M[K]>> | OutOf<M[K]> }
    : never

/** FNV-1a, 28 bits: a label fits the header's 32-bit word with room for flags. */
export function labelOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0
  return hash >>> 4
}

export function INTERFACE<const M extends Record<string, MethodSpec>>(name: string, specs: M): Interface<M> {
  const methods: Record<string, Method> = {}
  const byLabel = new Map<number, Method>()
  for (const [key, spec] of Object.entries(specs)) {
    const label = labelOf(key)
    const clash = byLabel.get(label)
    if (clash) throw new Error(`${name}: ${key} and ${clash.name} have the same label; rename one`)
    const method = { name: key, label, spec, in: STRUCT(`${key}.in`, spec.in), out: STRUCT(`${key}.out`, spec.out) }
    methods[key] = method as Method
    byLabel.set(label, method as Method)
  }
  return { name, methods: methods as Interface<M>['methods'], byLabel }
}

/** An interface with its handlers, ready to be served beside others on one endpoint. */
export interface Served<Caller> {
  readonly iface: Interface<any>
  readonly handlers: Handlers<Interface<any>, Caller>
}
export const SERVE = <I extends Interface<any>, Caller>(iface: I, handlers: Handlers<I, Caller>): Served<Caller> => ({
  iface,
  handlers: handlers as Handlers<Interface<any>, Caller>,
})
