/**
 * A process's share of the processor: one that uses more is stopped and continued by the host, so that it has its share on
 * average and the others have the rest.
 *
 * It has an account: time passes in its favour at its share's rate, the processor time it uses counts against it. Overdrawn,
 * it is stopped until the account is even. A process that was idle may have saved some, for a burst.
 *
 *   throttled(process)   it was stopped for this within the last second
 *
 * The lease does not count while it is stopped (lease.ts). A kernel that dies leaves no stopped process: PR_SET_PDEATHSIG
 * ends them all the same.
 */
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'

/** How long an overdraft goes unnoticed: half of what a person at the prompt feels. */
const SAMPLE_MS = 50
/** What an idle process saves, and how long it is stopped at most: well below a lease. */
const SAVED_MS = 1000
const STOPPED_MS = 2000
/** People look at `ps` between two stops. */
const RECENT_MS = 1000

interface Account {
  cpuMs: number
  at: number
  /** Milliseconds of processor time. */
  balance: number
  /** When it was seen overdrawn last. */
  overdrawn: number
}

export class Throttle {
  private readonly kernel: Kernel
  private readonly accounts = new Map<Process, Account>()
  private alarm?: { cancel(): void }

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  add(process: Process): void {
    if (process.init.limits.cpuShare === undefined) return
    const { cpuMs = 0 } = this.kernel.host.usage(process.pid) ?? {}
    const at = this.kernel.host.now()
    this.accounts.set(process, { cpuMs, at, balance: 0, overdrawn: Number.NEGATIVE_INFINITY })
    this.alarm ??= this.kernel.host.alarm(SAMPLE_MS, () => this.sample())
  }
  throttled(process: Process): boolean {
    const account = this.accounts.get(process)
    return account !== undefined && this.kernel.host.now() - account.overdrawn < RECENT_MS
  }
  /** Whoever is stopped goes on, to end in order. */
  stop(): void {
    this.alarm?.cancel()
    for (const process of this.accounts.keys()) if (process.held) this.release(process)
    this.accounts.clear()
  }
  private sample(): void {
    for (const [process, account] of this.accounts) {
      if (process.alive) this.settle(process, account)
      else this.accounts.delete(process)
    }
    this.alarm = this.accounts.size ? this.kernel.host.alarm(SAMPLE_MS, () => this.sample()) : undefined
  }
  private settle(process: Process, account: Account): void {
    const usage = this.kernel.host.usage(process.pid)
    if (!usage) return
    const share = (process.init.limits.cpuShare as number) / 100
    const now = this.kernel.host.now()
    const balance = account.balance + (now - account.at) * share - (usage.cpuMs - account.cpuMs)
    account.balance = Math.max(-share * STOPPED_MS, Math.min(share * SAVED_MS, balance))
    account.at = now
    account.cpuMs = usage.cpuMs
    if (account.balance < 0) {
      account.overdrawn = now
      if (!process.held) this.hold(process)
    } else if (process.held) this.release(process)
  }
  private hold(process: Process): void {
    process.held = true
    this.kernel.host.kill(process.pid, 'SIGSTOP')
  }
  private release(process: Process): void {
    process.held = false
    this.kernel.host.kill(process.pid, 'SIGCONT')
  }
}
