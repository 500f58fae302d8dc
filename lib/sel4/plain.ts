/**
 * MessagePack of a body that is one plain value – nothing, a number that fits a register, bytes – as most are: a register
 * access, an answer without results, a packet's data. The library takes two to three times as long for each of these.
 *
 *   encodePlain(body, room)      behind `room` bytes that are the caller's to fill; undefined: not such a value
 *   decodePlain(message, at)     of a message found sound; bytes stay where they are; NOT_PLAIN: not such a value
 */
const NIL = 0xc0
/** A tag below is the number. */
const FIXED = 0x80
/** bin 8, bin 16, bin 32; uint 8, uint 16, uint 32: the tag, then a length or a number of so many bytes, big-endian. */
const BIN = 0xc4
const UINT = 0xcc
const KINDS = 3

export function encodePlain(body: unknown, room: number): Buffer | undefined {
  if (body === null || body === undefined) return tagged(NIL, 0, 0, room, 0)
  if (typeof body === 'number') return body >>> 0 === body ? numbered(body, room) : undefined
  return body instanceof Uint8Array ? bytes(body, room) : undefined
}
function numbered(value: number, room: number): Buffer {
  if (value < FIXED) return tagged(value, 0, 0, room, 0)
  const width = widthOf(value)
  return tagged(UINT + (width >> 1), value, width, room, 0)
}
function bytes(body: Uint8Array, room: number): Buffer {
  const width = widthOf(body.length)
  const message = tagged(BIN + (width >> 1), body.length, width, room, body.length)
  message.set(body, room + 1 + width)
  return message
}
const widthOf = (value: number): 1 | 2 | 4 => (value < 0x100 ? 1 : value < 0x10000 ? 2 : 4)
/** The tag, a number behind it, and `more` bytes that are still to be filled. */
function tagged(tag: number, value: number, width: number, room: number, more: number): Buffer {
  const message = Buffer.allocUnsafe(room + 1 + width + more)
  message[room] = tag
  for (let i = 0; i < width; i++) message[room + width - i] = value >>> (8 * i)
  return message
}

export const NOT_PLAIN = Symbol('not a plain body')
export function decodePlain(message: Buffer, at: number): unknown {
  const tag = message[at]
  if (tag === NIL) return null
  if (tag < FIXED) return tag
  if (tag >= BIN && tag < BIN + KINDS) return message.subarray(at + 1 + (1 << (tag - BIN)))
  if (tag >= UINT && tag < UINT + KINDS) return message.readUIntBE(at + 1, 1 << (tag - UINT))
  return NOT_PLAIN
}
