/**
 * Commands of the driver's own: polled, in slot 0, while nothing else is out.
 *
 *   disk()          what the port has at its end, if that is a disk
 *   queuedError()   which queued command failed, and how; asking also lets the device queue again
 */
import { StatusError } from '#rtl'
import type { PortEngine } from './engine.ts'
import type { AtaCommand } from './fis.ts'
import { ATA, FATAL, LOG_NCQ_COMMAND_ERROR, PxCI, PxIS, PxSIG, PxTFD, SIG_ATA, STS_DF, STS_ERR } from './hw.ts'
import { type Identity, parseIdentify } from './identify.ts'
import type { PortMemory } from './memory.ts'
import { parseNcqErrorLog, type QueuedError } from './sense.ts'

const PATIENCE_MS = 5_000
/** What both commands answer. */
const ANSWER_BYTES = 512

export class OwnCommands {
  private readonly engine: PortEngine
  private readonly memory: PortMemory
  private readonly log: (what: string, facts: object) => void
  constructor(engine: PortEngine, memory: PortMemory, log: (what: string, facts: object) => void) {
    this.engine = engine
    this.memory = memory
    this.log = log
  }

  async disk(): Promise<Identity | undefined> {
    if ((await this.engine.read(PxSIG)) !== SIG_ATA) return undefined
    const bytes = await this.run({ command: ATA.IDENTIFY_DEVICE, lba: 0, count: 0, ext: false })
    if (!bytes) return undefined
    try {
      return parseIdentify(bytes)
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      this.log('a device that cannot be used', { port: this.engine.number, why: error.message })
      return undefined
    }
  }
  async queuedError(): Promise<QueuedError | undefined> {
    const page = await this.run({ command: ATA.READ_LOG_EXT, lba: LOG_NCQ_COMMAND_ERROR, count: 1, ext: true })
    return page && parseNcqErrorLog(page)
  }

  /** The answer, or undefined. */
  private async run(part: Pick<AtaCommand, 'command' | 'lba' | 'count' | 'ext'>): Promise<Uint8Array | undefined> {
    const { engine, memory } = this
    memory.fillOwn(0, { ...part, ncq: false, write: false, fua: false, bytes: ANSWER_BYTES })
    engine.write(PxCI, 1)
    const settled = await this.settles()
    const status = await engine.read(PxIS)
    engine.write(PxIS, status)
    const bad = !settled || (status & FATAL) !== 0 || ((await engine.read(PxTFD)) & (STS_ERR | STS_DF)) !== 0
    return bad ? undefined : memory.answerBytes(ANSWER_BYTES)
  }
  /** An error leaves PxCI set, and PxIS says so. */
  private async settles(): Promise<boolean> {
    const { engine } = this
    const end = engine.hw.now() + PATIENCE_MS
    for (;;) {
      const late = engine.hw.now() >= end
      if (((await engine.read(PxCI)) & 1) === 0) return true
      if (late || (await engine.read(PxIS)) & FATAL) return false
      await engine.hw.delay(1)
    }
  }
}
