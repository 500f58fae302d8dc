#!/usr/bin/env node
/**
 * Builds every image into dist/images/<name>.image, one file that tools/loader starts: bundled code and what V8 makes of it.
 * Beside it <name>.js, which is what Node is given, <name>.js.map and <name>.json (what the image needs).
 *
 *   node tools/build.mjs [--only NAME]… [--keep-going] [--quiet] [--force]
 *
 * An image is rebuilt when the contents of a file that went into it changed; when nothing did, this ends in a blink.
 * dist/build.json remembers, per image, which files those were and their hash. Outputs are replaced by rename, so a
 * running build never shows another process half a file.
 *
 * Plain JavaScript and only esbuild: it runs before anything else can.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const { pack } = createRequire(import.meta.url)('./loader/loader.cjs')

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const out = path.join(root, 'dist', 'images')
const record = path.join(root, 'dist', 'build.json')
const LOADER = 'tools/loader/loader.cjs'
/** NAME.js: the code itself is in NAME.image, with what V8 made of it. */
const ENTRY = "require('./loader.cjs').start(module, require)\n"

const EXTERNAL = ['esbuild', '*.node']
/**
 * Native packages: their JavaScript is bundled, their binary is required where it lies. What they would do instead costs
 * each process milliseconds: zeromq looks for the binary that fits among twenty, through its manifest; koffi loads Node's
 * https client, for a download that an installed package never makes. msgpackr does without its string extractor: that
 * costs a fifth of an image's start, and our strings are short.
 */
const NATIVE = {
  'zeromq/lib/load-addon.js': (addon) =>
    `exports.__esModule = true; exports.default = require(${JSON.stringify(addon)})`,
  'koffi/index.js': (addon) => `module.exports = require(${JSON.stringify(addon)})`,
}
const native = {
  name: 'native packages',
  setup(build) {
    build.onLoad({ filter: /node_modules[/](zeromq[/]lib[/]load-addon|koffi[/]index)[.]js$/ }, ({ path: file }) => {
      const name = Object.keys(NATIVE).find((each) => file.endsWith(each))
      return { contents: NATIVE[name](binaryOf(name.split('/')[0])) }
    })
    const nothing = ({ path: name }) => ({ path: name, namespace: 'nothing' })
    build.onResolve({ filter: /^msgpackr-extract$/ }, nothing)
    // What msgpackr would load the extractor with brings Node's loader of ES modules along.
    build.onResolve({ filter: /^module$/ }, (found) =>
      found.importer.includes('/msgpackr/') ? nothing(found) : undefined,
    )
    build.onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'module.exports = undefined' }))
  },
}
/**
 * What most processes never need: the first line logged loads pino, a manifest with a mistake typebox. In images of their
 * own they make no other image larger.
 */
const LIBRARIES = {
  pino: 'node_modules/pino/pino.js',
  typebox: 'node_modules/typebox/build/index.mjs',
  'typebox/value': 'node_modules/typebox/build/value/index.mjs',
}
const imageOf = (library) => library.replaceAll('/', '-')
const libraries = {
  name: 'libraries',
  setup(build) {
    const filter = new RegExp(`^(${Object.keys(LIBRARIES).join('|')})$`)
    build.onResolve({ filter }, ({ path: library }) => ({ path: `./${imageOf(library)}.js`, external: true }))
  },
}
/** The binary that the package itself chooses on this machine, seen from dist/images. */
function binaryOf(name) {
  const packages = createRequire(path.join(root, 'package.json'))
  packages(name)
  const found = Object.keys(packages.cache).find((file) => file.endsWith('.node') && file.includes(`/${name}/`))
  if (!found) throw new Error(`the package ${name} has no binary for this machine`)
  return path.relative(out, found)
}
/** A folder whose name is not its image's name. */
const RENAMED = {
  'devices/pci': 'pci-host',
  'lab/echo': 'lab-echo',
  'lab/caller': 'lab-caller',
  'lab/spawner': 'lab-spawner',
  'lab/newborn': 'lab-newborn',
  'lab/bare': 'lab-bare',
}
/** Programs that start themselves; all other images are started by a wrapper. */
const PROGRAMS = [
  'kernel/main.ts',
  'tools/launcher/main.ts',
  'tools/cli/main.ts',
  'tools/agent/main.ts',
  'lab/bare/main.ts',
]

/** The bare process once more, with its native packages as they are: what a benchmark is beside. */
const PLAIN = { name: 'lab-bare-plain', folder: 'lab/bare', entry: 'lab/bare/main.ts', plain: true }
const NATIVE_PACKAGES = ['zeromq', 'koffi', 'msgpackr-extract']

/** Images that are no folder of devices, drivers or services. */
const STARTED = ['executive', 'tools/panel', 'lab/echo', 'lab/caller', 'lab/spawner', 'lab/newborn']

const exists = (file) => fs.existsSync(path.join(root, file))
const folders = (dir) =>
  (exists(dir) ? fs.readdirSync(path.join(root, dir), { withFileTypes: true }) : [])
    .filter((entry) => entry.isDirectory() && entry.name !== 'lib')
    .map((entry) => `${dir}/${entry.name}`)

/** Every image: { name, folder, code } where code is the text of its entry, or entry when it starts itself. */
export function findImages() {
  return [
    ...folders('devices')
      .filter((dir) => exists(`${dir}/index.ts`))
      .map(started),
    ...driverFolders('drivers').map(driver),
    ...folders('services')
      .filter((dir) => exists(`${dir}/index.ts`))
      .map(started),
    ...STARTED.filter((dir) => exists(`${dir}/index.ts`)).map(started),
    ...PROGRAMS.filter(exists).map((entry) => ({ ...named(path.posix.dirname(entry)), entry })),
    ...(exists(PLAIN.entry) ? [PLAIN] : []),
    ...Object.entries(LIBRARIES).map(([library, entry]) => ({ name: imageOf(library), folder: entry, entry })),
  ]
}
const driverFolders = (dir) =>
  folders(dir).flatMap((each) => (exists(`${each}/driver.json`) ? [each, ...driverFolders(each)] : driverFolders(each)))
const named = (folder) => ({ folder, name: RENAMED[folder] ?? path.posix.basename(folder) })
const started = (folder) => ({
  ...named(folder),
  code: `import { start } from '#sel4/start'\nimport { main } from './${folder}/index.ts'\nstart(main)\n`,
})
const driver = (folder) => ({
  ...named(folder),
  code: `import { start } from '#sel4/start'\nimport { driverMain } from '#wdm'\nimport { DriverEntry } from './${folder}/index.ts'\nstart(driverMain(DriverEntry))\n`,
})

const hash = (data) => createHash('sha256').update(data).digest('hex').slice(0, 20)
function hashFiles() {
  const known = new Map()
  return (file) => {
    if (!known.has(file)) known.set(file, exists(file) ? hash(fs.readFileSync(path.join(root, file))) : 'absent')
    return known.get(file)
  }
}
/** What goes into every image besides its own files: the lock, the aliases, the compiler's options, this file and the loader. */
const COMMON = ['package-lock.json', 'package.json', 'tsconfig.json', 'tools/build.mjs', LOADER]

function isFresh(image, before, hashOf) {
  const last = before[image.name]
  if (
    !last ||
    last.node !== process.version ||
    last.code !== hash(image.code ?? image.entry) ||
    !fs.existsSync(path.join(out, `${image.name}.image`))
  )
    return false
  return Object.entries(last.inputs).every(([file, value]) => hashOf(file) === value)
}

function replace(file, data) {
  const scratch = `${file}.${process.pid}`
  fs.writeFileSync(scratch, data)
  fs.renameSync(scratch, file)
}
const needsOf = (folder) =>
  ['driver', 'device', 'service', 'image'].map((kind) => `${folder}/${kind}.json`).find(exists)

function optionsOf(image) {
  const entry = image.entry
    ? { entryPoints: [path.join(root, image.entry)] }
    : { stdin: { contents: image.code, resolveDir: root, sourcefile: `${image.name}.entry.ts`, loader: 'ts' } }
  return {
    ...entry,
    absWorkingDir: root,
    outfile: path.join(out, `${image.name}.js`),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: 'linked',
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    // Node prints the line of an error nobody caught.
    lineLimit: 160,
    external: image.plain ? [...EXTERNAL, ...NATIVE_PACKAGES] : EXTERNAL,
    plugins: image.plain ? [libraries] : [native, libraries],
    metafile: true,
    write: false,
    logLevel: 'silent',
  }
}

async function buildImage(esbuild, image, hashOf) {
  const { outputFiles, metafile } = await esbuild.build(optionsOf(image))
  const [code, map] = ['.js', '.map'].map((end) => outputFiles.find(({ path: file }) => file.endsWith(end)))
  replace(map.path, map.contents)
  replace(code.path.replace(/js$/, 'image'), pack(code.text.replace(/^#!.*/, ''), code.path))
  // Last: who watches these takes the image for ready.
  replace(code.path, ENTRY)
  const needs = needsOf(image.folder)
  if (needs) replace(path.join(out, `${image.name}.json`), fs.readFileSync(path.join(root, needs)))
  const files = [...COMMON, ...(needs ? [needs] : []), ...Object.keys(metafile.inputs).filter(isOurs)]
  return {
    node: process.version,
    code: hash(image.code ?? image.entry),
    inputs: Object.fromEntries(files.map((file) => [file, hashOf(file)])),
  }
}
const isOurs = (file) => !file.startsWith('node_modules/') && !file.endsWith('.entry.ts')

function readRecord() {
  try {
    return JSON.parse(fs.readFileSync(record, 'utf8')).images ?? {}
  } catch {
    return {}
  }
}

/** Builds what is out of date. Returns { built, broken: [{ name, message }], total }. */
export async function build({ only = [], force = false } = {}) {
  const images = findImages().filter((image) => only.length === 0 || only.includes(image.name))
  const missing = only.filter((name) => !images.some((image) => image.name === name))
  const before = readRecord()
  const hashOf = hashFiles()
  const stale = images.filter((image) => force || !isFresh(image, before, hashOf))
  const broken = missing.map((name) => ({ name, message: 'there is no such image' }))
  if (stale.length > 0) await buildAll(stale, hashOf, broken, only)
  return { built: stale.length - broken.length + missing.length, broken, total: images.length }
}
async function buildAll(stale, hashOf, broken, only) {
  fs.mkdirSync(out, { recursive: true })
  replace(path.join(out, path.basename(LOADER)), fs.readFileSync(path.join(root, LOADER)))
  const esbuild = await import('esbuild')
  const done = {}
  await Promise.all(
    stale.map(async (image) => {
      try {
        done[image.name] = await buildImage(esbuild, image, hashOf)
      } catch (error) {
        broken.push({ name: image.name, message: explain(error) })
      }
    }),
  )
  // Another build may have ended meanwhile: keep what it recorded of the images that this one did not touch.
  const kept =
    only.length === 0 ? Object.fromEntries(findImages().map((i) => [i.name, readRecord()[i.name]])) : readRecord()
  for (const { name } of broken) delete kept[name]
  replace(record, `${JSON.stringify({ images: { ...kept, ...done } }, null, 1)}\n`)
}
const explain = (error) =>
  error.errors
    ? error.errors
        .slice(0, 5)
        .map(({ text, location }) => (location ? `${location.file}:${location.line}: ${text}` : text))
        .join('\n  ')
    : String(error.message)

function parse(args) {
  const options = { only: [], keepGoing: false, quiet: false, force: false }
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--only') options.only.push(args[++i])
    else if (args[i] === '--keep-going') options.keepGoing = true
    else if (args[i] === '--quiet') options.quiet = true
    else if (args[i] === '--force') options.force = true
    else throw new Error(`unknown option ${args[i]}; known are --only NAME, --keep-going, --quiet and --force`)
  }
  return options
}
async function main() {
  const options = parse(process.argv.slice(2))
  const began = Date.now()
  const { built, broken, total } = await build(options)
  for (const { name, message } of broken) process.stderr.write(`build: ${name} is broken:\n  ${message}\n`)
  if (!options.quiet)
    process.stderr.write(`build: ${built} of ${total} images built in ${((Date.now() - began) / 1000).toFixed(1)} s\n`)
  if (broken.length > 0 && !options.keepGoing) process.exitCode = 1
}
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    process.stderr.write(`build: ${error.message}\n`)
    process.exitCode = 2
  })
}
