/**
 * Random numbers of the host, straight from where it keeps them: node:crypto brings forty modules along, and a process
 * that has just started has better things to do.
 *
 *   randomName()   128 bits in hexadecimal: a name nobody guesses
 *   hostRandom()   32 bits at a time
 */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Random } from './api.ts'

const SOURCE = '/dev/urandom'
const NAME_BYTES = 16
/** One read serves 64 numbers. */
const POOL_BYTES = 256

function fill(bytes: Buffer): Buffer {
  const source = openSync(SOURCE, 'r')
  try {
    // At most 256 bytes are never cut short. [random(7)]
    readSync(source, bytes, 0, bytes.length, null)
    return bytes
  } finally {
    closeSync(source)
  }
}
export const randomName = (): string => fill(Buffer.alloc(NAME_BYTES)).toString('hex')

export function hostRandom(): Random {
  const pool = Buffer.alloc(POOL_BYTES)
  let at = POOL_BYTES
  return {
    next() {
      if (at === POOL_BYTES) {
        fill(pool)
        at = 0
      }
      at += 4
      return pool.readUInt32LE(at - 4)
    },
  }
}
