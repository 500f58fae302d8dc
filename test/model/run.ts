/**
 * One seed: eight processes in the simulator do what chance draws, some at once, some alone; the model does the same, and
 * after each round what came of it is compared, now and then also all that every process can reach.
 *
 *   await new Run(7).go(10_000)       throws an Error that names the seed and the operations before
 */
import { definitionOf, DISTURBS, type OperationName, type Plan } from './operations.ts'
import { Population, WORKERS } from './population.ts'
import type { Thread } from './threads.ts'

/** Threads besides the processes' first. */
const THREADS_MAX = 16
const CHECKPOINT = 50
const AT_ONCE = 6
/** They are drawn for a thread as it is now. */
const ALONE: ReadonlySet<OperationName> = new Set(['TCB_Resume', 'TCB_Configure', 'TCB_SetSpace'] as const)

export class Run extends Population {
  async go(count: number): Promise<void> {
    await this.begin()
    for (let rounds = 1; this.operations < count; rounds++) {
      await this.turn()
      if (rounds % CHECKPOINT === 0) this.checkpoint()
    }
    this.checkpoint()
  }
  private async turn(): Promise<void> {
    const { chance, model } = this
    const workers = [...model.threads].filter((thread) => thread !== this.rootLife.first)
    const free = workers.filter((thread) => this.isFree(thread))
    const waiting = workers.filter(({ doing }) => doing)
    if (chance.rarely(400)) return this.death(chance.pick(this.lives))
    if (chance.rarely(150)) return this.share(chance.pick(this.lives))
    if (chance.rarely(2000)) return this.revokePool()
    if (chance.rarely(10)) return this.round([chance.driving(this.driver)])
    if (waiting.length && (free.length < 4 || chance.rarely(6))) return this.helpOne(chance.pick(waiting), free)
    if (!free.length) return this.death(chance.pick(this.lives))
    return chance.rarely(2) ? this.together(free, waiting.length > 0) : this.round([this.alone(chance.pick(free))])
  }
  private isFree(thread: Thread): boolean {
    return thread.state === 'running' && !thread.operation && this.handles.has(thread)
  }
  private alone(thread: Thread): Plan {
    const many = this.model.threads.size > THREADS_MAX + WORKERS
    return this.chance.plan(thread, (name) => !many || name !== 'TCB_WriteRegisters')
  }
  private helpOne(waiting: Thread, free: readonly Thread[]): Promise<void> {
    const plan = this.chance.helpful(waiting, free)
    if (plan) return this.round([plan])
    return free.length > 2 ? this.round([this.alone(this.chance.pick(free))]) : this.unstick(waiting)
  }
  /** Nobody can help it, and few are left: its process dies. */
  private unstick(waiting: Thread): Promise<void> {
    const life = this.lives.find((one) => one.vspace.life === waiting.life) ?? this.chance.pick(this.lives)
    return this.death(life)
  }
  /** Methods of several threads at once; what may end somebody's wait only while nobody waits. */
  private together(free: readonly Thread[], somebodyWaits: boolean): Promise<void> {
    const count = 1 + this.chance.below(Math.min(AT_ONCE, free.length))
    const chosen = [...free].sort(() => this.chance.below(3) - 1).slice(0, count)
    const fits = (name: OperationName) =>
      !definitionOf(name).isCall && !ALONE.has(name) && !(somebodyWaits && DISTURBS.has(name))
    return this.round(chosen.map((thread) => this.chance.plan(thread, fits)))
  }
}
