/**
 * The end of the system, in order: volumes written back and dismounted, devices told, drivers stopped, then the machine.
 *
 *   new PowerManager(ex).shutDown(code, reason)   never returns; a second request joins the first
 */
import { StatusError } from '#rtl'
import type { Executive } from '../executive.ts'

export class PowerManager {
  private readonly ex: Executive
  private ending: Promise<never> | undefined
  /** Something written did not reach its disk: a system that lost data does not end well. */
  dataLost = false

  constructor(ex: Executive) {
    this.ex = ex
  }
  shutDown(code: number, reason: string): Promise<never> {
    this.ending ??= this.end(code, reason)
    return this.ending
  }
  private async end(code: number, reason: string): Promise<never> {
    const { io, env, root } = this.ex
    let result = code
    try {
      await io.volumes.dismountAll()
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      env.log.error('a volume could not be dismounted', { error: error.message })
      result ||= 1
    }
    if (this.dataLost) result ||= 1
    await io.shutdown()
    return root.shutdown(result, reason)
  }
}
