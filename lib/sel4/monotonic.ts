/** The host's clock that never goes back. */

/** Milliseconds from some moment on. Not performance.now(): its first use loads ten modules of Node's, 4 ms of a start. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
