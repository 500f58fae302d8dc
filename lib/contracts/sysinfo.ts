/**
 * NtQuerySystemInformation's tables in NT's 64-bit layouts, written by the Executive and read by programs.
 *
 * Differs from NT: a UNICODE_STRING's Buffer holds the offset of its text from the start of the answer, because the
 * answer is bytes in a message and has no address.
 */
export const SystemProcessInformation = 5
export const SystemModuleInformation = 11
export const SystemBootConsoleInformation = 32

export interface ProcessRow {
  readonly UniqueProcessId: number
  readonly ImageName: string
  readonly HandleCount: number
  readonly NumberOfThreads: number
  /** Bytes. */
  readonly WorkingSetSize: number
  /** 100 ns units. */
  readonly UserTime: number
}
/** sizeof(SYSTEM_PROCESS_INFORMATION) without threads, and where its members stand. */
const PROCESS = {
  size: 0x100,
  threads: 0x04,
  userTime: 0x28,
  name: 0x38,
  buffer: 0x40,
  pid: 0x50,
  handles: 0x60,
  workingSet: 0x90,
}

export function encodeProcesses(rows: readonly ProcessRow[]): Uint8Array {
  const sizes = rows.map((row) => (PROCESS.size + row.ImageName.length * 2 + 2 + 7) & ~7)
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  rows.forEach((row, i) => {
    view.setUint32(at, i === rows.length - 1 ? 0 : sizes[i], true)
    view.setUint32(at + PROCESS.threads, row.NumberOfThreads, true)
    view.setBigInt64(at + PROCESS.userTime, BigInt(Math.round(row.UserTime)), true)
    view.setUint16(at + PROCESS.name, row.ImageName.length * 2, true)
    view.setUint16(at + PROCESS.name + 2, row.ImageName.length * 2 + 2, true)
    view.setBigUint64(at + PROCESS.buffer, BigInt(at + PROCESS.size), true)
    view.setBigUint64(at + PROCESS.pid, BigInt(row.UniqueProcessId), true)
    view.setUint32(at + PROCESS.handles, row.HandleCount, true)
    view.setBigUint64(at + PROCESS.workingSet, BigInt(row.WorkingSetSize), true)
    for (let c = 0; c < row.ImageName.length; c++)
      view.setUint16(at + PROCESS.size + c * 2, row.ImageName.charCodeAt(c), true)
    at += sizes[i]
  })
  return bytes
}

export function decodeProcesses(bytes: Uint8Array): ProcessRow[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const rows: ProcessRow[] = []
  for (let at = 0; at + PROCESS.size <= bytes.length; ) {
    const buffer = Number(view.getBigUint64(at + PROCESS.buffer, true))
    rows.push({
      UniqueProcessId: Number(view.getBigUint64(at + PROCESS.pid, true)),
      ImageName: new TextDecoder('utf-16le').decode(
        bytes.subarray(buffer, buffer + view.getUint16(at + PROCESS.name, true)),
      ),
      HandleCount: view.getUint32(at + PROCESS.handles, true),
      NumberOfThreads: view.getUint32(at + PROCESS.threads, true),
      WorkingSetSize: Number(view.getBigUint64(at + PROCESS.workingSet, true)),
      UserTime: Number(view.getBigInt64(at + PROCESS.userTime, true)),
    })
    const next = view.getUint32(at, true)
    if (next === 0) break
    at += next
  }
  return rows
}

export interface ModuleRow {
  readonly FullPathName: string
  readonly ImageSize: number
}
/** sizeof(RTL_PROCESS_MODULE_INFORMATION). */
const MODULE = { first: 8, size: 296, imageSize: 24, order: 32, fileName: 38, path: 40, pathMax: 256 }

export function encodeModules(rows: readonly ModuleRow[]): Uint8Array {
  const bytes = new Uint8Array(MODULE.first + rows.length * MODULE.size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, rows.length, true)
  rows.forEach((row, i) => {
    const at = MODULE.first + i * MODULE.size
    view.setUint32(at + MODULE.imageSize, row.ImageSize, true)
    view.setUint16(at + MODULE.order, i, true)
    view.setUint16(at + MODULE.fileName, row.FullPathName.lastIndexOf('\\') + 1, true)
    bytes.set(new TextEncoder().encode(row.FullPathName).subarray(0, MODULE.pathMax - 1), at + MODULE.path)
  })
  return bytes
}
export function decodeModules(bytes: Uint8Array): ModuleRow[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: view.getUint32(0, true) }, (_, i) => {
    const at = MODULE.first + i * MODULE.size
    const path = bytes.subarray(at + MODULE.path, at + MODULE.size)
    return {
      FullPathName: new TextDecoder().decode(path.subarray(0, path.indexOf(0))),
      ImageSize: view.getUint32(at + MODULE.imageSize, true),
    }
  })
}
