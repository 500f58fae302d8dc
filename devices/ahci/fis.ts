/**
 * Frame information structures: what travels between the HBA and the disk.
 *
 *   parseRegisterH2D(bytes)   the command the host built in its command table
 *   registerD2H, setDeviceBits, pioSetup   the frames the disk answers with, as they land in memory
 *
 * [SATA] 10.3.4 (register H2D), 10.3.5 (register D2H), 10.3.6 (set device bits), 10.3.8 (PIO setup)
 */
import { FIS, FIS_C, FIS_D, FIS_I } from './registers.ts'

/** The ATA registers as one command's inputs. */
export interface RegisterH2D {
  /** True: a command; false: the device control register was written. */
  readonly isCommand: boolean
  readonly command: number
  readonly features: number
  /** 48 bits; a 28-bit command uses the lower 24 and four of `device`. */
  readonly lba: number
  readonly device: number
  readonly count: number
  readonly control: number
}
/** The ATA registers as one command's outputs. */
export interface TaskFile {
  readonly status: number
  readonly error: number
  readonly lba: number
  readonly device: number
  readonly count: number
}
export const REGISTER_FIS_BYTES = 20

export function parseRegisterH2D(fis: Uint8Array): RegisterH2D {
  return {
    isCommand: (fis[1] & FIS_C) !== 0,
    command: fis[2],
    features: fis[3] | (fis[11] << 8),
    lba: (fis[4] | (fis[5] << 8) | (fis[6] << 16)) + (fis[8] | (fis[9] << 8) | (fis[10] << 16)) * 0x1000000,
    device: fis[7],
    count: fis[12] | (fis[13] << 8),
    control: fis[15],
  }
}
function putTaskFile(fis: Uint8Array, { status, error, lba, device, count }: TaskFile): void {
  const high = Math.floor(lba / 0x1000000)
  fis[2] = status
  fis[3] = error
  for (let i = 0; i < 3; i++) {
    fis[4 + i] = (lba >>> (8 * i)) & 0xff
    fis[8 + i] = (high >>> (8 * i)) & 0xff
  }
  fis[7] = device
  fis[12] = count & 0xff
  fis[13] = count >> 8
}
export function registerD2H(task: TaskFile, interrupt: boolean): Uint8Array {
  const fis = new Uint8Array(REGISTER_FIS_BYTES)
  fis[0] = FIS.D2H
  fis[1] = interrupt ? FIS_I : 0
  putTaskFile(fis, task)
  return fis
}
/** `finished`: one bit per tag that is done. */
export function setDeviceBits(status: number, error: number, finished: number): Uint8Array {
  const fis = new Uint8Array(8)
  fis[0] = FIS.SDB
  fis[1] = FIS_I
  fis[2] = status & 0x77
  fis[3] = error
  for (let i = 0; i < 4; i++) fis[4 + i] = (finished >>> (8 * i)) & 0xff
  return fis
}
/** One block of `bytes` to the host; `task.status` is the status after it (E_STATUS). */
export function pioSetup(task: TaskFile, statusBefore: number, bytes: number): Uint8Array {
  const fis = new Uint8Array(REGISTER_FIS_BYTES)
  fis[0] = FIS.PIO_SETUP
  fis[1] = FIS_D | FIS_I
  putTaskFile(fis, { ...task, status: statusBefore })
  fis[15] = task.status
  fis[16] = bytes & 0xff
  fis[17] = bytes >> 8
  return fis
}
