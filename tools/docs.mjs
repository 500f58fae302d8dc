#!/usr/bin/env node
/**
 * Generated files: docs/services from the contracts, docs/capabilities.md and docker-compose.yml from the manifest.
 *
 *   node tools/docs.mjs           writes them
 *   node tools/docs.mjs --check   writes nothing; fails when one is out of date, naming it
 */
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
require('./register.cjs')
const { generate } = require('./generate/index.ts')

const checking = process.argv.includes('--check')
let stale = 0
for (const [file, text] of Object.entries(generate(root))) {
  const target = path.join(root, file)
  if (fs.existsSync(target) && fs.readFileSync(target, 'utf8') === text) continue
  stale++
  if (checking) console.log(`${file} is out of date: run npm run docs and commit what it writes`)
  else {
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.writeFileSync(target, text)
    console.log(`wrote ${file}`)
  }
}
process.exitCode = checking && stale > 0 ? 1 : 0
