#!/usr/bin/env node
/**
 * `npm test`: every test, in two mocha runs, and one last line: N passed, N failed.
 *
 *   node tools/test.mjs [--scale quick|ci|nightly] [FILE…]
 *
 * First the tests beside the code (one process, virtual time), then test/ and lab/ (real systems). A run that dies
 * counts as a failure. NEPTUNE_TEST_SCALE says how much, NEPTUNE_REQUIRE_ORACLES=1 that nothing may be skipped.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const ROOMS = ['lib', 'kernel', 'executive', 'devices', 'drivers', 'services', 'tools']
const SYSTEMS = ['lab', 'test']
const SCALES = ['quick', 'ci', 'nightly']

function testsIn(dir) {
  if (!fs.existsSync(path.join(root, dir))) return []
  return fs
    .readdirSync(path.join(root, dir), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = `${dir}/${entry.name}`
      if (entry.isDirectory()) return testsIn(name)
      return name.endsWith('.test.ts') ? [name] : []
    })
}

/** Node's own type stripping would come before ours and does not know CommonJS with import syntax. */
const noStripping = process.allowedNodeEnvironmentFlags.has('--no-experimental-strip-types')
  ? ['--no-experimental-strip-types']
  : []
function mocha(files, result) {
  const args = [
    ...noStripping,
    path.join(root, 'node_modules', 'mocha', 'bin', 'mocha.js'),
    '--require',
    path.join(root, 'tools', 'register.cjs'),
    '--reporter',
    path.join(root, 'tools', 'reporter.cjs'),
    '--extension',
    'ts',
    '--timeout',
    '10000',
    '--exit',
    ...files,
  ]
  const env = { ...process.env, NEPTUNE_TEST_RESULT: result }
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => child.kill(signal))
  return new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? code)))
}
async function run(title, files, scratch) {
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 }
  console.log(`${title}: ${files.length} files`)
  const result = path.join(scratch, 'result.json')
  fs.rmSync(result, { force: true })
  const end = await mocha(files, result)
  const counts = fs.existsSync(result)
    ? JSON.parse(fs.readFileSync(result, 'utf8'))
    : { passed: 0, failed: 0, skipped: 0 }
  if (end !== 0 && counts.failed === 0) {
    console.log(`     ✗ the run of ${title} ended with ${end} before it could finish`)
    counts.failed++
  }
  return counts
}

function parse(args) {
  const files = []
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--scale') process.env.NEPTUNE_TEST_SCALE = args[++i]
    else files.push(path.relative(root, path.resolve(args[i])))
  }
  process.env.NEPTUNE_TEST_SCALE ??= 'quick'
  if (!SCALES.includes(process.env.NEPTUNE_TEST_SCALE))
    throw new Error(`NEPTUNE_TEST_SCALE is ${process.env.NEPTUNE_TEST_SCALE}; it may be ${SCALES.join(', ')}`)
  return files.flatMap((file) => (fs.statSync(path.join(root, file)).isDirectory() ? testsIn(file) : [file]))
}
async function main() {
  const chosen = parse(process.argv.slice(2))
  const of = (dirs) =>
    chosen.length ? chosen.filter((file) => dirs.includes(file.split('/')[0])) : dirs.flatMap(testsIn)
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-test-'))
  const all = [await run('beside the code', of(ROOMS), scratch), await run('whole systems', of(SYSTEMS), scratch)]
  fs.rmSync(scratch, { recursive: true, force: true })
  const sum = (key) => all.reduce((total, counts) => total + counts[key], 0)
  if (sum('skipped') > 0)
    console.log(`${sum('skipped')} skipped (scale ${process.env.NEPTUNE_TEST_SCALE}; reasons above)`)
  const nothing = sum('passed') + sum('failed') === 0
  const failed = sum('failed') + (process.env.NEPTUNE_REQUIRE_ORACLES === '1' ? sum('skipped') : 0)
  console.log(`${sum('passed')} passed, ${failed} failed`)
  process.exitCode = failed > 0 || nothing ? 1 : 0
}
main().catch((error) => {
  console.log(`${error.message}\n0 passed, 1 failed`)
  process.exitCode = 2
})
