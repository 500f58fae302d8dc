/**
 * What V8 says when a process has used up its heap: it writes so to stderr and aborts, so that no code of the process's
 * own can tell of it. Who holds its stderr reads the end.
 *
 *   tellsOfHeap(text)          whether that is what it says
 *   heapIsFull(path, from)     the same of a log, behind what was in it when the process started
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** Of every way in which V8 runs out: a limit reached, garbage collections without effect, one object too large. */
const WORDS = 'JavaScript heap out of memory'
/** The message comes before two stack traces, of native and of JavaScript frames. */
export const LAST_WORDS_BYTES = 16 * 1024

export const tellsOfHeap = (text: string): boolean => text.includes(WORDS)
export function heapIsFull(path: string, from: number): boolean {
  const file = openSync(path, 'r')
  try {
    const start = Math.max(from, fstatSync(file).size - LAST_WORDS_BYTES)
    const bytes = Buffer.alloc(LAST_WORDS_BYTES)
    return tellsOfHeap(bytes.toString('latin1', 0, readSync(file, bytes, 0, LAST_WORDS_BYTES, start)))
  } finally {
    closeSync(file)
  }
}
