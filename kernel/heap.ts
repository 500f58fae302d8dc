/**
 * V8's heap of a process: the flags it is started with, and how to tell that it was full.
 *
 *   heapFlags(bytes)           for the command line; the loader takes them back once they have done their work
 *   tellsOfHeap(text)          whether text is what V8 writes of a full heap
 *   heapIsFull(path, from)     the same of a log, behind what was in it when the process started
 *
 * What V8 says when a process has used up its heap: it writes so to stderr and aborts, so that no code of the process's
 * own can tell of it. Who holds its stderr reads the end.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const MIB = 1024 * 1024
/**
 * MiB that a process may allocate before its first collection of garbage. V8 begins with one, and a start would collect
 * two or three times, in all of its threads, what is needed still.
 */
const YOUNG = 4
export const heapFlags = (heapBytes?: number): string[] => [
  `--min-semi-space-size=${YOUNG}`,
  ...(heapBytes ? [`--max-old-space-size=${Math.ceil(heapBytes / MIB)}`] : []),
]

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
