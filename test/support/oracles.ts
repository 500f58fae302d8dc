/**
 * Other people's programs that judge ours.
 *
 *   before(function () { const mkfs = oracle(this, 'mkfs.fat', 'dosfstools') })
 *
 * Absent: the test is skipped with a line that names the Debian package, or fails when NEPTUNE_REQUIRE_ORACLES=1.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'

/** Formatters and checkers live in sbin, which is not on everybody's path. */
const ALSO = ['/usr/sbin', '/sbin', '/usr/local/sbin']

export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), ...ALSO]
  return folders.map((folder) => path.join(folder, name)).find(isExecutable)
}
function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

/** The program's path. `test` is mocha's context: `this` of a test or hook. */
export function oracle(test: { skip(): never }, name: string, debianPackage: string): string {
  const found = findProgram(name)
  if (found) return found
  const sentence = `${name} is not installed: it is in the Debian package ${debianPackage}`
  if (process.env.NEPTUNE_REQUIRE_ORACLES === '1')
    throw new Error(`${sentence}, and NEPTUNE_REQUIRE_ORACLES asks for it`)
  console.log(`       ${sentence}; skipped what it would judge`)
  return test.skip()
}

/** Runs an oracle to its end; its words are in the error when it fails, unless `fails` says it may. */
export function ask(
  program: string,
  args: readonly string[],
  options: { fails?: boolean; input?: string } = {},
): string {
  const result: SpawnSyncReturns<string> = spawnSync(program, args, {
    encoding: 'utf8',
    input: options.input,
    maxBuffer: 1 << 28,
    // mtools asks about a geometry that no emulated disk has.
    env: { ...process.env, MTOOLS_SKIP_CHECK: '1', LC_ALL: 'C' },
  })
  if (result.error) throw result.error
  if (result.status !== 0 && !options.fails)
    throw new Error(
      `${path.basename(program)} ${args.join(' ')} ended with ${result.status}:\n${result.stdout}${result.stderr}`,
    )
  return result.stdout
}
