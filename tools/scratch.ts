/**
 * Folders that tests and benchmarks make in the temporary folder, and that go even when their maker is killed: its pid and
 * start time are in the folder's name, and whoever makes the next one of that kind removes those of the dead.
 *
 *   makeScratch(kind, root)   ROOT/neptune-KIND-PID-STARTTIME-XXXXXX; its maker removes it when all goes well
 *
 * Never touches a folder of another kind or user, or one that a living process has on its command line: a system whose test
 * was killed takes a moment to end.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { commandLine, isAlive, startTime } from './processes.ts'

export function makeScratch(kind: string, root = os.tmpdir()): string {
  for (const folder of abandoned(kind, root)) fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  return fs.mkdtempSync(path.join(root, `neptune-${kind}-${process.pid}-${startTime(process.pid)}-`))
}
function abandoned(kind: string, root: string): string[] {
  const name = new RegExp(`^neptune-${kind}-(\\d+)-(\\d+)-[A-Za-z0-9]{6}$`)
  const ofTheDead = fs.readdirSync(root).filter((entry) => {
    const [, pid, began] = name.exec(entry) ?? []
    return pid !== undefined && !isAlive({ pid: Number(pid), startTime: Number(began) })
  })
  if (ofTheDead.length === 0) return []
  const used = fs.readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? commandLine(entry) : []))
  return ofTheDead
    .map((entry) => path.join(root, entry))
    .filter((folder) => isOwn(folder) && !used.some((word) => word.includes(folder)))
}
function isOwn(folder: string): boolean {
  const stat = fs.lstatSync(folder, { throwIfNoEntry: false })
  return stat !== undefined && stat.isDirectory() && stat.uid === os.userInfo().uid
}
