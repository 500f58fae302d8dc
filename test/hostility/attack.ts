/**
 * What a hostile process can try, and what it can misuse for it.
 *
 *   attack.run(hostile)     inside the hostile process; resolves to what it has found out, unless it is ended
 *   attack.expected         `death`: it is ended, for that; `limited`: it lives, and found out just that
 *
 * Whatever is expected of the hostile process, the same is expected for the others: see arena.ts. The attacks themselves, by
 * kind, are in attacks/.
 */
import { readFileSync } from 'node:fs'
import { OBJECT_TYPE, RIGHTS, seL4_CapInitThreadCNode, seL4_CapInitThreadVSpace } from '#contracts/sel4'
import { Dealer } from 'zeromq'
import type { CPtr, Environment } from '../../lib/sel4/api.ts'
import type { Route } from '../../lib/sel4/under-way.ts'
import type { Runtime } from '../../lib/sel4/runtime.ts'
import type { Libsel4 } from '../../lib/sel4/threads.ts'
import { LABEL, type Line, SLOT } from './line.ts'

export type Expected =
  | { readonly death: { readonly cause: string; readonly detail: RegExp } }
  | { readonly limited: object }
export interface Attack {
  readonly name: string
  readonly run: (hostile: Hostile) => Promise<object | void>
  readonly expected: Expected
  /** Where it comes to something else when every message goes through the kernel; `none`: there is no such attack then. */
  readonly onSlowpath?: Expected | 'none'
  /** Milliseconds it may take until it has come to that, when more than a few seconds. */
  readonly patienceMs?: number
  /** Somebody watches meanwhile: `neptune trace`. */
  readonly traced?: true
}
export const OWN = seL4_CapInitThreadCNode
export const HEADER = 40
export const VADDR = 0x4000_0000
export const SOON_MS = 100
/** A message that is never answered is one that is not heard within this time. */
export const SILENCE_MS = 300

/** What ends who does what seL4 leaves to a fault handler, and has none. */
export const NO_HANDLER = /^fault \d without a handler$/

export const errorOf = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'worked',
    (error: Error) => error.message.split(':')[0],
  )
export const pause = (milliseconds: number): Promise<void> => new Promise((go) => setTimeout(go, milliseconds))

/** What a process can misuse: its runtime's insides, raw sockets, what it finds in the run directory. */
export class Hostile {
  readonly env: Environment
  readonly runtime: Runtime
  readonly sel4: Libsel4
  readonly line: Line
  /** Sessions others have opened to it. */
  readonly sessionsIn: number[] = []
  readonly run = process.cwd()
  private nextSlot: number = SLOT.free

  constructor(env: Environment, runtime: Runtime, line: Line) {
    this.env = env
    this.runtime = runtime
    this.sel4 = env.libsel4
    this.line = line
    runtime.sessions.deviceOpened = ({ session }) => void this.sessionsIn.push(session)
  }
  slot(): number {
    return this.nextSlot++
  }
  message(kind: number, session: number, body: readonly number[], sequence = 1, label: number = LABEL.loot): Buffer {
    const message = Buffer.alloc(HEADER + body.length)
    message[0] = kind
    message.writeUInt32LE(label, 4)
    message.writeUInt32LE(session, 8)
    message.writeUInt32LE(sequence, 12)
    message.set(body, HEADER)
    return message
  }
  gate(message: Buffer): void {
    this.runtime.transport.gate(message)
  }
  async route(slot: CPtr): Promise<Route> {
    const route = await this.runtime.routes.openRoute(slot)
    if (!route.link || !route.info) throw new Error('the route is not open')
    return route
  }
  /** A socket of its own, under any identity. */
  socket(address: string, identity: string): { send(message: Buffer): void; heard: Buffer[]; close(): void } {
    const heard: Buffer[] = []
    return { ...this.runtime.transport.connect(address, identity, (message) => heard.push(message)), heard }
  }
  /**
   * In place of the runtime's own: waits when the receiver takes nothing, so that a flood costs it no memory. Nothing must be
   * received from it meanwhile: zeromq.js, done with a send it had put off, looks whether there is something to read, and
   * what it takes in then may be the word that there is room again, which the next send waits for without end.
   */
  async floodgate(slot: CPtr): Promise<{ socket: Dealer; session: number }> {
    const { link, info, session } = await this.route(slot)
    link?.peer.close()
    await pause(SOON_MS)
    const socket = new Dealer({ routingId: info?.identity, linger: 0 })
    socket.connect(info?.address ?? '')
    return { socket, session }
  }
  ask(...what: readonly string[]): Promise<unknown> {
    return this.env.sel4.call(this.env.caps.executive, 0, what)
  }
  /** Serves as it was asked to, and keeps the identity under which the first message came. */
  async serveOnce(): Promise<void> {
    const { reply, body } = await this.env.sel4.recv(SLOT.hostile)
    if (reply) this.env.sel4.reply(reply, 0, body)
  }
  async tables(): Promise<void> {
    const make = async (type: keyof typeof OBJECT_TYPE): Promise<number> => {
      const slot = this.slot()
      await this.sel4.Untyped_Retype(SLOT.memory, OBJECT_TYPE[type], 0, OWN, 0, 0, slot, 1)
      return slot
    }
    const space = seL4_CapInitThreadVSpace
    await this.sel4.X86_PDPT_Map(await make('seL4_X86_PDPTObject'), space, VADDR, 0)
    await this.sel4.X86_PageDirectory_Map(await make('seL4_X86_PageDirectoryObject'), space, VADDR, 0)
    await this.sel4.X86_PageTable_Map(await make('seL4_X86_PageTableObject'), space, VADDR, 0)
  }
  async mapFrame(): Promise<void> {
    await this.tables()
    await this.sel4.X86_Page_Map(SLOT.frame, seL4_CapInitThreadVSpace, VADDR, RIGHTS.all, 0)
  }
  pidOf(name: string): number {
    const living = JSON.parse(readFileSync(`${this.run}/pids.json`, 'utf8')) as { name: string; pid: number }[]
    return living.find((each) => each.name === name)?.pid ?? 0
  }
  /** What only a process of the same user, outside a container, can read. */
  tokenOf(name: string): string {
    const environment = readFileSync(`/proc/${this.pidOf(name)}/environ`, 'utf8').split('\0')
    const boot = environment.find((line) => line.startsWith('NEPTUNE_BOOT='))?.slice('NEPTUNE_BOOT='.length)
    return (JSON.parse(boot ?? '{}') as { token: string }).token
  }
  get gateAddress(): string {
    return `ipc://${this.run}/s/gate`
  }
}
