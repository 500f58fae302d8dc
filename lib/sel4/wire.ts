/**
 * What a message looks like between processes: one part, a 40-byte header that the kernel can read without touching
 * the body, then one msgpack value. Little-endian.
 *
 *   0 kind u8 · 1 flags u8 · 2 thread u16 · 4 label u32 · 8 session or capability u32 · 12 sequence u32
 *   16 trace id, 16 bytes · 32 span id, 8 bytes · 40 body
 *
 *   encode(kind, flags, label, session, sequence, body, context)   one message, ready to send
 *   kindOf … sequenceOf                                            header fields
 *   isSound(message)        whether it may be decoded: never allocates what a message only claims to hold
 *   decodeBody(message)     of one that was found sound, or is the kernel's
 *
 * Shared by the kernel and every runtime. Never knows who sends or receives.
 */
import { Packr } from 'msgpackr'
import { decodePlain, encodePlain, NOT_PLAIN } from './plain.ts'

export const HEADER_BYTES = 40
/** A full batch of IO packets (128), each with a page inline, and their names; more goes by naming pages. */
export const MESSAGE_MAX = 640 * 1024
const DEPTH_MAX = 32

export const KIND = {
  /** Process → kernel, first message. */
  HELLO: 1,
  /** Kernel → process: BootInfo. */
  BOOT: 2,
  /** A request to the kernel, or of the kernel to a runtime: label = operation; answered by RESULT. */
  INVOKE: 3,
  /** flags ERROR: label is a Sel4 error number, body its detail. */
  RESULT: 4,
  /** Along a session. CALL is answered by REPLY with the same sequence. */
  CALL: 5,
  SEND: 6,
  REPLY: 7,
  /** Receiver → sender: `label` sends more may go. */
  CREDIT: 8,
  /** Register accesses along a session to a device: label = port | width << 16, or an offset. */
  PORT_IN: 9,
  PORT_OUT: 10,
  MMIO_READ: 11,
  DOORBELL: 12,
  /** Process → kernel. */
  SIGNAL: 13,
  WAIT: 14,
  /** Kernel → process: label = the word, session = the capability waited on. */
  NOTIFY: 15,
  PING: 16,
  PONG: 17,
  /** Receiver → kernel: session, label = OFFENCE, body = the raw bytes that could not be accepted. */
  FAULT: 18,
  EPITAPH: 19,
  /** Device → kernel: label = index of the line, session = 1 raised, 0 lowered. Along a session: a message to the driver itself. */
  IRQ: 20,
  /** Along a session: dropped unless a thread waits. */
  NBSEND: 21,
  /** About a session, answered by REPLY: everything sent along it before has arrived. */
  FENCE: 22,
  /** About a session, answered by REPLY: the call or send with sequence `label` is taken back. */
  CANCEL: 23,
} as const
export const FLAG = {
  ERROR: 1,
} as const
/** What a receiver accuses a sender of. */
export const OFFENCE = {
  /** Malformed, or not what the session is for. */
  message: 0,
  /** More messages than credits. */
  credits: 1,
  /** Many messages along no session: the body is the identity they come under. */
  stranger: 2,
} as const

/** Operations of INVOKE, process → kernel. */
export const OP = {
  /** [cptr, 1 when the other end may be a thread]. */
  openSession: 1,
  bindReceiver: 2,
  makeNotification: 3,
  irqAck: 4,
  irqSetNotification: 5,
  mapDevice: 6,
  attachChip: 7,
  spawn: 20,
  grant: 21,
  revoke: 22,
  kill: 23,
  allocate: 24,
  ioPort: 25,
  irqHandler: 26,
  deviceFrame: 27,
  deviceMemory: 28,
  endpoint: 29,
  notification: 30,
  dmaMap: 31,
  dmaUnmap: 32,
  resetDevice: 33,
  shutdown: 34,
  processes: 35,
  watchDeaths: 36,
  resume: 37,
  /** System calls of a thread that meet in the kernel: Send, NBSend, Call, Recv, NBRecv, Reply, Wait, Poll, Yield. */
  send: 40,
  receive: 41,
  reply: 42,
  wait: 43,
  signal: 44,
  yield: 45,
  /** The memory accessor met no mapping, or not such a one. */
  vmFault: 46,
  /** A port was touched without a capability, or the program did what no program may. */
  userException: 47,
  /** [session, call's sequence, capability it came through]: the reply to a call taken here becomes the kernel's. */
  exportCaller: 48,
  /** [session, call's sequence]: such a call was taken back by its caller. */
  cancelCaller: 49,
} as const
/** Operations of INVOKE, kernel → runtime. */
export const ASK = {
  sessionOpen: 1,
  sessionClose: 2,
  routeClosed: 3,
  death: 4,
  reset: 5,
  /** A bare round trip: everything sent before has been seen. */
  barrier: 6,
  counters: 7,
  trace: 8,
  spans: 9,
  powerOff: 10,
  /** Somebody wants the system to stop: the root task ends it in order. */
  powerButton: 11,
  /** To a device: a line's messages go along this session from now on. */
  irqRoute: 12,
  /** To a receiver: these sessions' senders come another way from now on; what came is kept. */
  sessionMoved: 13,
  /** To a sender: what these sessions lead to is to be reached anew, behind everything under way. */
  routeMove: 14,
  /** An endpoint lent to a thread: whoever waits there waits in the kernel from now on. */
  recall: 15,
  /** CNode_CancelBadgedSends of a lent endpoint. */
  cancelBadged: 16,
  /** What a thread of the process is to do: start, suspend, resume, priority, destroy. */
  thread: 20,
  /** Pages of the program-visible address space came or went. */
  map: 21,
  unmap: 22,
  statusBits: 23,
  /** Memory that was given as a whole – an arena, one's own or a child's – is gone. */
  unmapMemory: 24,
} as const

/** A trace context: 16 bytes of trace id, 8 bytes of span id. */
export type TraceContext = Uint8Array
const CONTEXT = 16

/** MessagePack's own rules only: no learned record structures, no extension types. */
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true, moreTypes: false, int64AsType: 'number' })
/** msgpackr's RESERVE_START_SPACE with the number of bytes in its low byte. */
const RESERVE_HEADER = 2048 | HEADER_BYTES

export function encode(
  kind: number,
  flags: number,
  label: number,
  session: number,
  sequence: number,
  body: unknown,
  context?: TraceContext,
): Buffer {
  const message = encodePlain(body, HEADER_BYTES) ?? packr.encode(body, RESERVE_HEADER)
  message[0] = kind
  message[1] = flags
  message[2] = 0
  message[3] = 0
  message.writeUInt32LE(label, 4)
  message.writeUInt32LE(session, 8)
  message.writeUInt32LE(sequence, 12)
  if (context) message.set(context, CONTEXT)
  else for (let at = CONTEXT; at < HEADER_BYTES; at++) message[at] = 0
  return message
}
export const kindOf = (message: Buffer): number => message[0]
export const flagsOf = (message: Buffer): number => message[1]
export const labelOf = (message: Buffer): number => message.readUInt32LE(4)
export const sessionOf = (message: Buffer): number => message.readUInt32LE(8)
export const sequenceOf = (message: Buffer): number => message.readUInt32LE(12)
/** Which thread of its process speaks; 0 is the first. */
export const threadOf = (message: Buffer): number => message.readUInt16LE(2)
export const setThread = (message: Buffer, thread: number): void => void message.writeUInt16LE(thread, 2)
export const traced = (message: Buffer): boolean => message.readUInt32LE(CONTEXT) !== 0
export const contextOf = (message: Buffer): TraceContext => message.subarray(CONTEXT, HEADER_BYTES)
export const setLabel = (message: Buffer, label: number): void => void message.writeUInt32LE(label, 4)
export const setSession = (message: Buffer, session: number): void => void message.writeUInt32LE(session, 8)
export const setSequence = (message: Buffer, sequence: number): void => void message.writeUInt32LE(sequence, 12)

/** Whole header present, size within bounds, body well-formed MessagePack of bounded depth, nothing after it. */
export function isSound(message: Buffer): boolean {
  if (message.length <= HEADER_BYTES || message.length > MESSAGE_MAX) return false
  return scan(message) === message.length
}

/**
 * Walks the value from byte 40; returns the offset behind it, or -1. Every container costs its claimed number of
 * items at least in bytes, so a claim beyond the buffer ends the walk at once. A map's keys are text: the decoder throws
 * at others.
 */
function scan(message: Buffer): number {
  const end = message.length
  /** Items left of each container around: negative, those of a map, where keys and values take turns. */
  const left: number[] = []
  let at = HEADER_BYTES
  let remaining = 1
  let inMap = false
  for (;;) {
    while (remaining === 0) {
      if (!left.length) return at
      const outer = left.pop() as number
      remaining = Math.abs(outer)
      inMap = outer < 0
    }
    if (at >= end) return -1
    const tag = message[at++]
    if (inMap && remaining % 2 === 0 && !isText(tag)) return -1
    remaining--
    if (tag < 0x80 || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) continue
    let items = -1
    if (tag < 0x90) items = 2 * (tag & 15)
    else if (tag < 0xa0) items = tag & 15
    else if (tag < 0xc0) at += tag & 31
    else {
      const shape = SHAPES[tag - 0xc0]
      const size = shape & 15
      if (size === 0 || at + size > end) return -1
      if (shape >= COUNTED) {
        const count = message.readUIntBE(at, size)
        if (shape < CONTAINER) at += count
        else items = tag >= 0xde ? count * 2 : count
      }
      at += size
    }
    if (at > end) return -1
    if (items < 0) continue
    if (items > end - at || left.length >= DEPTH_MAX) return -1
    left.push(inMap ? -remaining : remaining)
    remaining = items
    inMap = tag < 0x90 || tag >= 0xde
  }
}
const isText = (tag: number): boolean => (tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb)
const COUNTED = 16
const CONTAINER = 32
/** By tag 0xc0…0xdf: bytes that follow; COUNTED: they hold a length; CONTAINER: a number of items; 0: refused (ext). */
const SHAPES = Uint8Array.from([
  ...[0, 0, 0, 0, COUNTED | 1, COUNTED | 2, COUNTED | 4, 0, 0, 0],
  ...[4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0],
  ...[COUNTED | 1, COUNTED | 2, COUNTED | 4, CONTAINER | 2, CONTAINER | 4, CONTAINER | 2, CONTAINER | 4],
])

export function decodeBody(message: Buffer): unknown {
  const plain = decodePlain(message, HEADER_BYTES)
  return plain === NOT_PLAIN ? packr.decode(message, { start: HEADER_BYTES, end: message.length }) : plain
}
