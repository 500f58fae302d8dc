/**
 * Typed calls over untyped messages: what a contract's stub and server table do, for every transport alike.
 *
 *   makeClient(call, iface, endpoint)   one async method per call
 *   ServiceTable(parts)                 label → method and handler, of several interfaces on one endpoint
 *   table.dispatch(label, body, caller) the checked call; throws MalformedError before any handler runs
 *
 * Never knows a socket, a session or a process.
 */
import { fromWire, MalformedError, toWire } from '#contracts/field'
import type { Client, Handlers, Interface, Method } from '#contracts/interface'
import { NT_STATUS, StatusError } from '#rtl'
import type { Answer, Caller, CPtr } from './api.ts'
import { SEL4_ERROR, Sel4Error } from './api.ts'

type Call = (endpoint: CPtr, label: number, body: unknown, method: Method, args: object) => Promise<Answer>
export interface Part {
  readonly iface: Interface<any>
  readonly handlers: Record<string, (args: never, caller: Caller) => unknown>
}

/** A server that died is, to its client, the status the contract declares. */
function deathOf(method: Method, error: unknown): unknown {
  const died = error instanceof Sel4Error && error.code === SEL4_ERROR.serverDied
  return died ? new StatusError(NT_STATUS[method.spec.onServerDeath]) : error
}

export function makeClient<I extends Interface<any>>(call: Call, iface: I, endpoint: CPtr): Client<I> {
  const client: Record<string, (args: object) => Promise<unknown>> = {}
  for (const method of Object.values(iface.methods) as Method[]) {
    client[method.name] = async (args) => {
      let answer: Answer
      try {
        answer = await call(endpoint, method.label, toWire(method.in, args as never), method, args)
      } catch (error) {
        throw deathOf(method, error)
      }
      if (answer.label !== 0) throw new StatusError(answer.label)
      return fromWire(method.out, answer.body)
    }
  }
  return client as Client<I>
}

interface Entry {
  readonly method: Method
  readonly handler: (args: never, caller: Caller) => unknown
}
export class ServiceTable {
  private readonly entries = new Map<number, Entry>()

  constructor(parts: readonly { iface: Interface<any>; handlers: Handlers<any, Caller> }[]) {
    for (const { iface, handlers } of parts as readonly Part[])
      for (const method of iface.byLabel.values()) this.add(method, handlers)
  }

  private add(method: Method, handlers: Part['handlers']): void {
    const handler = handlers[method.name]
    if (!handler) throw new Error(`no handler for ${method.name}`)
    const clash = this.entries.get(method.label)
    if (clash) throw new Error(`${method.name} and ${clash.method.name} have the same label on one endpoint`)
    this.entries.set(method.label, { method, handler: handler.bind(handlers) })
  }

  nameOf(label: number): string {
    return this.entries.get(label)?.method.name ?? `label ${label}`
  }

  /** The checked request: MalformedError here is the sender's fault. */
  accept(label: number, body: unknown): Accepted {
    const entry = this.entries.get(label)
    if (!entry) throw new MalformedError(`label ${label}`)
    return { entry, args: fromWire(entry.method.in, body) }
  }
  /** Runs the handler up to its first await; the wire form of its result, or a promise of it. */
  run({ entry, args }: Accepted, caller: Caller): unknown {
    const { out } = entry.method
    const result = entry.handler(args as never, caller)
    if (result instanceof Promise) return result.then((value) => toWire(out, value))
    return toWire(out, result as never)
  }
  dispatch(label: number, body: unknown, caller: Caller): unknown {
    return this.run(this.accept(label, body), caller)
  }
}
export interface Accepted {
  readonly entry: Entry
  readonly args: unknown
}
