/**
 * MessagePack of a body that is one plain value – nothing, a small number, bytes – as most are: a register access, an answer
 * without results, a packet's data. The library takes a microsecond for each of these, as for any other value.
 *
 *   encodePlain(body, room)      behind `room` bytes that are the caller's to fill; undefined: not such a value
 *   decodePlain(message, at)     of a message found sound; bytes stay where they are; NOT_PLAIN: not such a value
 */
const NIL = 0xc0
const SMALL_INTEGERS = 0x80
/** bin 8, bin 16, bin 32: the tag, then so many bytes of length, big-endian. */
const BIN = 0xc4
const lengthBytes = (length: number): 1 | 2 | 4 => (length < 0x100 ? 1 : length < 0x10000 ? 2 : 4)

export function encodePlain(body: unknown, room: number): Buffer | undefined {
  if (body === null || body === undefined) return oneByte(NIL, room)
  if (typeof body === 'number') return isSmall(body) ? oneByte(body, room) : undefined
  return body instanceof Uint8Array ? bytes(body, room) : undefined
}
const isSmall = (value: number): boolean => value >= 0 && value < SMALL_INTEGERS && Number.isInteger(value)
function oneByte(tag: number, room: number): Buffer {
  const message = Buffer.allocUnsafe(room + 1)
  message[room] = tag
  return message
}
function bytes(body: Uint8Array, room: number): Buffer {
  const { length } = body
  const width = lengthBytes(length)
  const start = room + 1 + width
  const message = Buffer.allocUnsafe(start + length)
  message[room] = BIN + (width >> 1)
  for (let i = 0; i < width; i++) message[start - 1 - i] = length >>> (8 * i)
  message.set(body, start)
  return message
}

export const NOT_PLAIN = Symbol('not a plain body')
export function decodePlain(message: Buffer, at: number): unknown {
  const tag = message[at]
  if (tag === NIL) return null
  if (tag < SMALL_INTEGERS) return tag
  if (tag < BIN || tag > BIN + 2) return NOT_PLAIN
  return message.subarray(at + 1 + (1 << (tag - BIN)))
}
