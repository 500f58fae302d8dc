#!/usr/bin/env node
/**
 * `npm run check`: format, lint, types, walls, names, generated files. Two at a time; each says how long it took.
 *
 *   node tools/check.mjs [NAME…]      only the named ones
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkNames } from './checks/names.mjs'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const bin = (name) => path.join(root, 'node_modules', '.bin', name)
const ROOMS = ['lib', 'kernel', 'executive', 'devices', 'drivers', 'services', 'tools', 'lab', 'test'].filter((dir) =>
  fs.existsSync(path.join(root, dir)),
)
/** Functions over 60 lines and files over 500: this number may only fall. */
const MOST_WARNINGS = 2

const CHECKS = {
  types: () =>
    run(bin('tsc'), ['-p', '.', '--pretty', 'false', '--incremental', '--tsBuildInfoFile', '.cache/tsc.json']),
  lint: () =>
    run(bin('eslint'), [
      ...ROOMS,
      '--no-error-on-unmatched-pattern',
      '--max-warnings',
      String(MOST_WARNINGS),
      '--cache',
      '--cache-location',
      '.cache/eslint',
      '--cache-strategy',
      'content',
    ]),
  walls: () => run(bin('depcruise'), ['--config', '.dependency-cruiser.cjs', '--output-type', 'err-long', ...ROOMS]),
  format: () => run(bin('biome'), ['check', '--diagnostic-level=error', '--max-diagnostics=12', '.']),
  names: () => sentences(checkNames(root)),
  generated: () => run(process.execPath, ['tools/docs.mjs', '--check']),
}

function run(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = []
  child.stdout.on('data', (data) => output.push(data))
  child.stderr.on('data', (data) => output.push(data))
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ ok: false, text: error.message }))
    child.on('close', (code) => resolve({ ok: code === 0, text: Buffer.concat(output).toString() }))
  })
}
/** A tree that is far from right says so in a page, not in a thousand lines. */
const MOST_LINES = 120
function shorten(text) {
  const lines = text
    .replace(/^npm warn.*\n/gm, '')
    .trimEnd()
    .split('\n')
  return lines.length <= MOST_LINES
    ? lines.join('\n')
    : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} more lines`].join('\n')
}
const sentences = (lines) => ({ ok: lines.length === 0, text: lines.join('\n') })

async function judge(name) {
  const began = Date.now()
  const { ok, text } = await CHECKS[name]()
  if (!ok) console.log(shorten(text))
  console.log(`${ok ? '✓' : '✗'} ${name} ${((Date.now() - began) / 1000).toFixed(1)} s`)
  return ok
}
async function main() {
  const chosen = process.argv.slice(2)
  const unknown = chosen.find((name) => !CHECKS[name])
  if (unknown) throw new Error(`unknown check ${unknown}; known are ${Object.keys(CHECKS).join(', ')}`)
  const waiting = chosen.length ? chosen : Object.keys(CHECKS)
  const results = []
  const worker = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) results.push(await judge(name))
  }
  fs.mkdirSync(path.join(root, '.cache'), { recursive: true })
  await Promise.all([worker(), worker()])
  process.exitCode = results.every(Boolean) ? 0 : 1
}
main().catch((error) => {
  console.log(error.message)
  process.exitCode = 2
})
