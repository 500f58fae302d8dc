#!/usr/bin/env node
/**
 * Puts real screens into README.md, between its capture marks: the prompt, and a copy during which the disk driver dies.
 *
 *   node tools/capture.mjs      boots two systems; run it when what they print has changed
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const cli = path.join(root, 'dist', 'images', 'cli.js')

/** Types the lines; `during` is called with the run directory once the first of them was typed. */
async function capture(lines, during) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-capture-'))
  const run = path.join(folder, 'run')
  const system = spawn(process.execPath, [cli, 'boot', '--run', run], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  system.stdout.on('data', (data) => {
    text += data
    if (during && text.includes(`>${lines[0]}`)) {
      during(run)
      during = undefined
    }
  })
  system.stdin.end(`${lines.join('\n')}\n`)
  const code = await new Promise((resolve) => system.on('close', resolve))
  fs.rmSync(folder, { recursive: true, force: true })
  if (code !== 0) throw new Error(`the system ended with ${code}:\n${text}`)
  return text.trimEnd()
}
function put(readme, name, text) {
  const marks = new RegExp(`(<!-- capture:${name} -->\n)[^]*?(<!-- /capture:${name} -->)`)
  return readme.replace(marks, (_, open, close) => `${open}\`\`\`\n${text}\n\`\`\`\n${close}`)
}
const kill = (run) => spawn(process.execPath, [cli, 'kill', 'storahci', '--run', run], { stdio: 'inherit' })

const file = path.join(root, 'README.md')
let readme = fs.readFileSync(file, 'utf8')
readme = put(readme, 'prompt', await capture(['dir']))
readme = put(readme, 'death', await capture(['copy big.bin docs', 'dir docs', 'lm'], kill))
fs.writeFileSync(file, readme)
