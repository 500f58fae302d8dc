/**
 * What the processes of a hostility run and the test tell each other, past the system under test: JSON, one value a line, on a
 * socket of the test's. The place of each capability that is handed over is agreed here, too.
 */
import { createConnection, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Environment } from '../../lib/sel4/api.ts'

/** Slots of a process's CSpace that the warden fills; all processes agree on them. */
export const SLOT = {
  /** The honest server's endpoint. */
  server: 0x2000,
  /** An endpoint the hostile process receives on, and the witness calls. */
  hostile: 0x2001,
  /** Untyped memory of the hostile process's own. */
  memory: 0x2002,
  /** A frame it may read. */
  frame: 0x2003,
  /** The server's endpoint again, to be taken away. */
  lent: 0x2004,
  /** From here on nobody's. */
  free: 0x3000,
} as const
/** Addresses in a CSpace as CNode methods take them. */
export const DEPTH = 32
/** The witness is told apart from the hostile process by its badge. */
export const BADGE = { witness: 5, hostile: 9 } as const
/** Labels of calls to the honest server. */
export const LABEL = {
  echo: 1,
  /** Must never be delivered: who sends it has no right to. */
  loot: 66,
} as const

export interface Line {
  say(fields: object): void
  onLine(hear: (fields: Record<string, unknown>) => void): void
}
export function lineToTest({ name, config }: Pick<Environment, 'name' | 'config'>): Promise<Line> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection(config.socket as string)
    socket.once('error', reject)
    const line: Line = {
      say: (fields) => void socket.write(`${JSON.stringify({ from: name, ...fields })}\n`),
      onLine: (hear) => void createInterface({ input: socket }).on('line', (text) => hear(JSON.parse(text))),
    }
    socket.once('connect', () => {
      line.say({ hello: process.pid })
      resolve(line)
    })
  })
}
