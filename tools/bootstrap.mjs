#!/usr/bin/env node
/**
 * The door: what `npm start`, `npm test`, `npm run …` and `npx neptune` open on a fresh clone.
 *
 *   node tools/bootstrap.mjs start|test|check|dev|docs|capture|neptune [arguments]
 *
 * Checks the platform and Node, installs what the lock names if it is not there, builds what is out of date, then goes on.
 * Everything it says goes to stderr: stdout belongs to the program it starts. No dependencies.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { platformFacts, unsupported } from './platform.mjs'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => path.join(root, ...parts)
const say = (text) => process.stderr.write(`neptune: ${text}\n`)

function readPackages(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')).packages
  } catch {
    return undefined
  }
}
/** Installed means: every package of the lock that this platform needs is there in the lock's version. */
function isInstalled() {
  const wanted = readPackages(at('package-lock.json'))
  const present = readPackages(at('node_modules', '.package-lock.json'))
  if (!wanted || !present) return false
  return Object.entries(wanted).every(
    ([name, entry]) => name === '' || entry.optional || present[name]?.version === entry.version,
  )
}
/** Says that it is alive this often while npm works. */
const PROGRESS_MS = 5_000
function install() {
  say('installing packages (npm ci); once, about half a minute …')
  const began = Date.now()
  const npm = spawn('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = []
  npm.stdout.on('data', (data) => output.push(data))
  npm.stderr.on('data', (data) => output.push(data))
  const seconds = () => `${Math.round((Date.now() - began) / 1000)} s`
  const progress = setInterval(() => say(`installing … ${seconds()}`), PROGRESS_MS)
  return new Promise((resolve) => {
    npm.on('error', (error) => output.push(Buffer.from(error.message)))
    npm.on('close', (code) => {
      clearInterval(progress)
      if (code !== 0) process.stderr.write(Buffer.concat(output))
      else say(`installed in ${seconds()}`)
      resolve(code === 0)
    })
  })
}

async function buildImages() {
  const { build, findImages } = await import(pathToFileURL(at('tools', 'build.mjs')).href)
  const fresh = fs.existsSync(at('dist', 'build.json'))
  if (!fresh) say(`building ${findImages().length} images …`)
  const { built, broken } = await build()
  for (const { name, message } of broken) say(`${name} does not build:\n  ${message}`)
  if (built > 0) say(`built ${built} image${built === 1 ? '' : 's'}`)
  return broken.length === 0
}

/** Runs a program in this terminal and ends as it ended. */
function become(args, options = {}) {
  const child = spawn(process.execPath, args, { cwd: process.cwd(), stdio: 'inherit', ...options })
  // The terminal sends these to the whole group; the child decides what they mean, and this process ends after it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal)))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)))
}
/** In this very process: it is then the launcher, hears the terminal's signals itself, and no start is paid twice. */
function cli(args) {
  const image = at('dist', 'images', 'cli.js')
  process.argv = [process.execPath, image, ...args]
  createRequire(import.meta.url)(image)
}

const COMMANDS = {
  start: (args) => cli(['boot', ...args]),
  neptune: cli,
  test: (args) => become([at('tools', 'test.mjs'), ...args], { cwd: root }),
  check: (args) => become([at('tools', 'check.mjs'), ...args], { cwd: root }),
  dev: (args) => become([at('tools', 'dev.mjs'), ...args], { cwd: root }),
  capture: () => become([at('tools', 'capture.mjs')], { cwd: root }),
  docs: (args) => become([at('tools', 'docs.mjs'), ...args], { cwd: root }),
}
/** `check` reads sources only, and must be able to say what is wrong with a tree that does not build. */
const NEEDS_NO_BUILD = ['check', 'docs']

async function main() {
  const [name, ...args] = process.argv.slice(2)
  const command = COMMANDS[name]
  if (!command) return fail(`unknown command ${name}; known are ${Object.keys(COMMANDS).join(', ')}`)
  const trouble = unsupported(platformFacts())
  if (trouble) return fail(trouble)
  if (!isInstalled() && !(await install())) return fail('npm ci failed; its words are above')
  if (!NEEDS_NO_BUILD.includes(name) && !(await buildImages())) return fail('the build failed', 1)
  return command(args)
}
function fail(sentence, code = 2) {
  say(sentence)
  process.exitCode = code
}
await main()
