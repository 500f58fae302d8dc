/**
 * Who is at the other end of a unix socket, and what it says.
 *
 *   peerUser(socket)             the user id that the host vouches for; -1 when the host does not say
 *   readLines(socket, most, line)   line by line; one of more than `most` characters ends the conversation
 */
import type { Socket } from 'node:net'
import koffi from 'koffi'

/** [socket(7)], [unix(7)]: struct ucred is pid, uid, gid, 32 bits each. */
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const UCRED_BYTES = 12
const UID_AT = 4

export function peerUser(socket: Socket): number {
  const descriptor = (socket as Socket & { _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1
  if (descriptor < 0) return -1
  const getsockopt = koffi
    .load(null)
    .func('int getsockopt(int, int, int, _Out_ uint8_t *value, _Inout_ uint32_t *length)')
  const value = new Uint8Array(UCRED_BYTES)
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, value, [UCRED_BYTES]) !== 0) return -1
  return new DataView(value.buffer).getUint32(UID_AT, true)
}

/** Not readline, which has no limit: a line without an end would fill this process's memory. */
export function readLines(socket: Socket, most: number, line: (text: string) => void): void {
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() as string
    if (rest.length > most || lines.some((each) => each.length > most)) return void socket.destroy()
    for (const each of lines) line(each)
  })
}
