#!/usr/bin/env node
/**
 * Puts real screens into README.md, between its capture marks: the prompt, and a copy during which the disk driver dies,
 * with what the other terminal shows.
 *
 *   node tools/capture.mjs      boots two systems; run it when what they print has changed
 */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const cli = path.join(root, 'dist', 'images', 'cli.js')

/** Types the lines; once the first was typed, `during` is called with the run directory and a look at the screen. */
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
      during(run, () => text)
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

let other = ''
/** The other terminal. The output of the system waits meanwhile, so what it had shown before is what it had done. */
function kill(run, screen) {
  const before = screen()
  for (const words of [['kill', 'storahci'], ['ps']]) {
    const { stdout } = spawnSync(process.execPath, [cli, ...words, '--run', run], { encoding: 'utf8' })
    const rows = stdout.trimEnd().split('\n')
    const shown = words[0] === 'ps' ? rows.filter((row) => /^\W*(name|storahci|disk|fatfs)\b/.test(row)) : rows
    other += `$ npx neptune ${words.join(' ')}\n${shown.join('\n')}\n`
  }
  if (before.includes('copied')) throw new Error('the copy was over before the driver was killed')
}
const screen = (text) => text.slice(text.indexOf('C:\\>'))

const file = path.join(root, 'README.md')
let readme = fs.readFileSync(file, 'utf8')
readme = put(readme, 'prompt', await capture(['dir', 'cd docs', 'type "What happens when a driver dies.txt"']))
readme = put(readme, 'death', screen(await capture(['copy big.bin docs', 'dir docs'], kill)))
readme = put(readme, 'other', other.trimEnd())
fs.writeFileSync(file, readme)
