#!/usr/bin/env node
/**
 * `npm run dev`: a system in this terminal; a saved file rebuilds the images it is part of and restarts those processes.
 *
 *   nodemon (watches the tree) ──starts──► ts-node tools/dev/refresh.ts (builds, kills what changed)
 *   neptune boot (this terminal)
 *
 * A driver, device or program comes back through its restart path. A change of the kernel or the Executive cannot be
 * taken up by a running system; it is said so.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const log = path.join(root, '.cache', 'dev.log')
fs.mkdirSync(path.dirname(log), { recursive: true })
fs.writeFileSync(log, '')

const WATCHED = ['drivers', 'devices', 'services', 'lib', 'executive', 'kernel', 'tools/panel']
const watch = WATCHED.flatMap((folder) => ['--watch', folder])
const bin = (name) => path.join(root, 'node_modules', '.bin', name)

const watcher = spawn(
  bin('nodemon'),
  [
    '--quiet',
    '--on-change-only',
    '--ext',
    'ts,json',
    '--ignore',
    '*.test.ts',
    ...watch,
    '--exec',
    `${bin('ts-node')} --transpile-only tools/dev/refresh.ts`,
  ],
  // Not this terminal: it belongs to the front panel.
  { cwd: root, stdio: ['ignore', 'ignore', 'ignore'], detached: true },
)
const system = spawn(
  process.execPath,
  [path.join(root, 'dist', 'images', 'cli.js'), 'boot', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
process.on('SIGINT', () => {})
process.on('SIGTERM', () => system.kill('SIGTERM'))
system.on('exit', (code) => {
  process.kill(-watcher.pid, 'SIGTERM')
  process.stderr.write(fs.readFileSync(log, 'utf8'))
  process.exitCode = code ?? 1
})
