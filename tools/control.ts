/**
 * A running system's control socket, from outside: JSON lines, one answer per request.
 *
 *   callControl(run, op, fields)   the answer's result; UserError with the kernel's sentence when it refused
 *
 * It gives no authority that the run directory's owner does not have anyway: the directory is private.
 */
import net from 'node:net'
import path from 'node:path'
import { UserError } from './user-error.ts'

export type ControlOp =
  | 'ps'
  | 'caps'
  | 'kill'
  | 'trace'
  | 'check'
  | 'interpose'
  | 'lift'
  | 'interposed'
  | 'manifest'
  | 'maskIrq'
  | 'shutdown'
interface Answer {
  readonly ok: boolean
  readonly result?: unknown
  readonly error?: string
}
/** An answer that has not come by then will not; trace adds its own length. */
const PATIENCE_MS = 10_000

export async function callControl(run: string, op: ControlOp, fields: object = {}, extraMs = 0): Promise<unknown> {
  const line = await exchange(
    path.join(run, 'control'),
    `${JSON.stringify({ id: 1, op, ...fields })}\n`,
    PATIENCE_MS + extraMs,
  )
  const answer = JSON.parse(line) as Answer
  if (!answer.ok) throw new UserError(answer.error ?? `the system refused ${op}`)
  return answer.result
}
function exchange(socketPath: string, request: string, patienceMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketPath).setEncoding('utf8')
    const parts: string[] = []
    const end = (settle: () => void) => {
      socket.destroy()
      settle()
    }
    socket.setTimeout(patienceMs, () => end(() => reject(new UserError('the system does not answer', 1))))
    socket.on('error', (error) => end(() => reject(new UserError(`the system cannot be reached: ${error.message}`, 1))))
    socket.on('close', () => reject(new UserError('the system ended before it answered', 1)))
    socket.on('connect', () => socket.write(request))
    socket.on('data', (data) => {
      const part = data.toString()
      const newline = part.indexOf('\n')
      parts.push(newline < 0 ? part : part.slice(0, newline))
      if (newline >= 0) end(() => resolve(parts.join('')))
    })
  })
}
