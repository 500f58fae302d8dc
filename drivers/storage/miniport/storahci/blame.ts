/** Whose fault an error was, and what becomes of the others. [AHCI] 6.2.2 */
import { SENSE_KEY, SRB_STATUS } from '#drivers/lib/scsi'
import type { SrbOutcome, StorRequest } from '../../port/storport/index.ts'
import type { AtaCommand } from './fis.ts'
import { type AtaError, outcomeOfError } from './sense.ts'

/** An innocent command is sent again this often when it is unclear which one failed. */
const ATTEMPTS_MAX = 3
const GONE_BY_RESET: SrbOutcome = { SrbStatus: SRB_STATUS.BUS_RESET }
const CANCELLED: SrbOutcome = { SrbStatus: SRB_STATUS.ABORTED }
const TIMED_OUT: SrbOutcome = { SrbStatus: SRB_STATUS.TIMEOUT }

/** Those whose outcome is known. */
export type Losers = ReadonlyMap<StorRequest, SrbOutcome>
export const nobody = (): Losers => new Map()

export const timedOut = (victims: readonly StorRequest[]): Losers =>
  new Map(victims.map((request) => [request, TIMED_OUT]))
export function failed(request: StorRequest | undefined, error: AtaError): Losers {
  if (!request) return nobody()
  const { write }: AtaCommand = request.MiniportContext
  return new Map([[request, outcomeOfError(error, write)]])
}
export const anyProtected = (losers: Losers): boolean =>
  [...losers.values()].some(({ sense }) => sense && (sense[2] & 0xf) === SENSE_KEY.DATA_PROTECT)

/** Losers, the cancelled and the tired complete; the innocent go out again. */
export function sentence(
  failing: readonly StorRequest[],
  losers: Losers,
): { completed: [StorRequest, SrbOutcome][]; again: StorRequest[] } {
  const completed: [StorRequest, SrbOutcome][] = []
  const again: StorRequest[] = []
  for (const request of failing) {
    const outcome = losers.get(request) ?? verdict(request, losers.size > 0)
    if (outcome) completed.push([request, outcome])
    else again.push(request)
  }
  return { completed, again }
}
function verdict(request: StorRequest, culpritKnown: boolean): SrbOutcome | undefined {
  if (request.Irp.Cancel) return CANCELLED
  return culpritKnown || ++request.attempts <= ATTEMPTS_MAX ? undefined : GONE_BY_RESET
}
