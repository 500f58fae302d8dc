/**
 * What the kernel's core needs of the world: time, chance, messages out, processes, memory by name. Implemented by the
 * operating system (os-host.ts) and by the simulator; the core never touches a socket or node:*.
 *
 * In the other direction the host calls Kernel.onMessage and Kernel.onExit.
 */
export interface StartRequest {
  readonly name: string
  readonly image: string
  readonly token: string
  /** Where its fast path listens: of newAddress(). */
  readonly address: string
  /** Owns the terminal. */
  readonly terminal: boolean
  /** Limit of its own memory, beside the banks. */
  readonly heapBytes?: number
}
export interface Usage {
  readonly cpuMs: number
  readonly rssKb: number
  /** As in /proc/PID/stat: R running, S sleeping, T stopped … */
  readonly state: string
  /** As its container's processes see it, when it has one of its own. */
  readonly pid?: number
}
export interface ExitStatus {
  readonly code: number | null
  readonly signal: string | null
  /** It said before it ended that its heap was full. */
  readonly heapIsFull?: boolean
}
export interface Host {
  /** Processors of the host. */
  readonly numNodes: number
  now(): number
  alarm(milliseconds: number, expired: () => void): { cancel(): void }
  /** 128 random bits in hexadecimal: names nobody guesses. */
  secret(): string
  send(token: string, message: Buffer): void
  /** Starts an image; resolves with its pid. */
  start(request: StartRequest): number
  kill(pid: number, signal: string): void
  /** A place for a process's fast path to listen at, which nobody guesses. */
  newAddress(): string
  /** Its process is gone, however far it came: so is the place. */
  forget(address: string): void
  /** From now on it has what processor time the others leave, as far as the host can see to that. */
  yield(pid: number): void
  usage(pid: number): Usage | undefined
  /** Memory that is its own: of no file, shared with nobody. */
  ownKb(pid: number): number | undefined
  /** Makes zeroed memory that processes can map, or only read; its path. */
  makeMemory(name: string, bytes: number, sharing?: 'readable'): string
  /** The kernel's own writable view of such memory. */
  view(path: string, bytes: number): Uint8Array
  /** Zeroes a part of such memory before it changes hands. */
  zero(path: string, offset: number, bytes: number): void
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: object): void
  /** The set of living processes changed. */
  living(processes: readonly { readonly name: string; readonly pid: number }[]): void
  /** Everything is stopped: the end. */
  ended(code: number, reason: string): void
}
