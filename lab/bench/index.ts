/**
 * `neptune bench NAME`: every figure beside a bare baseline of the same run, as value ÷ baseline.
 *
 *   bench(name, options, say)   runs one and prints it; resolves to the exit code
 */
import { UserError } from '../../tools/user-error.ts'
import { benchBoot } from './boot.ts'
import { benchBulk } from './bulk.ts'
import { benchDisk } from './disk.ts'
import { benchIpc } from './ipc.ts'
import { benchMemory } from './memory.ts'
import type { Row } from './ratio.ts'
import { benchRevoke } from './revoke.ts'
import { benchSpawn } from './spawn.ts'

export type Say = (sentence: string) => void
const BENCHES: Readonly<Record<string, (say: Say) => Promise<readonly Row[]>>> = {
  ipc: benchIpc,
  boot: benchBoot,
  disk: benchDisk,
  bulk: benchBulk,
  revoke: benchRevoke,
  spawn: benchSpawn,
  memory: benchMemory,
}

export async function bench(name: string, options: { json?: boolean }, say: Say): Promise<number> {
  const run = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
  if (!run) throw new UserError(`there is no benchmark ${name}; there are ${Object.keys(BENCHES).join(', ')}`)
  const rows = await run(say)
  process.stdout.write(options.json ? `${JSON.stringify({ bench: name, rows })}\n` : text(rows))
  return 0
}
const text = (rows: readonly Row[]) =>
  rows
    .map(
      (row) =>
        `${row.case.padEnd(16)} ${format(row.value)} ${row.unit}, bare ${format(row.baseline)}: ${row.ratio.toFixed(2)}×\n`,
    )
    .join('')
const format = (value: number) => value.toFixed(value < 100 ? 1 : 0)
