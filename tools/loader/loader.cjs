'use strict'
/**
 * Starts an image. NAME.js is one line that calls this; what it starts is in NAME.image beside it:
 *
 *   0 bytes of code u32 · 4 bytes of cache u32 · 16 code, ASCII, padded to 8 · cache: what V8 compiled when it was built
 *
 *   start(module, require)          runs the image of the program at module.filename
 *   pack(code, filename)            the bytes of such a file
 *   compile(bytes, filename)        { script, rejected } of such bytes
 *   codeOf(bytes)                   the program in them, as the bundler wrote it
 *
 * V8 takes compiled code from its own version and flags only; in any other process it compiles the code itself, which
 * costs 10 ms and changes nothing else. It tells one code from another by length alone, so both are in one file that is
 * replaced by rename. A stack is translated to the sources when somebody reads it; their map is not even opened before.
 */
/**
 * The flags of the heap's size did their work when the heap was made, and change no compiled code; but V8 refuses what was
 * compiled without them, Node's own modules included, which are the most of a start. So they are taken back, first of all.
 */
const heapFlags = process.execArgv.filter((flag) => /^--(max-old|min-semi)-space-size=/.test(flag))
if (heapFlags.length > 0) {
  const { setFlagsFromString } = setter()
  for (const flag of heapFlags) setFlagsFromString(flag.replace(/\d+$/, '0'))
}
/** node:v8 would first have some thirty modules compiled. Where Node no longer hands the binding out, that is the price. */
function setter() {
  const { noDeprecation } = process
  process.noDeprecation = true
  try {
    return process.binding('v8')
  } catch {
    return require('node:v8')
  } finally {
    process.noDeprecation = noDeprecation
  }
}

const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

const HEADER = 16
const ALIGNMENT = 8
/** What Node puts around a module. */
const HEAD = '(function (exports, require, module, __filename, __dirname) {'
const TAIL = '\n})'

const scriptOf = (code, filename, cachedData) =>
  new vm.Script(code, { filename, columnOffset: -HEAD.length, cachedData })

/** Every function, whether it runs at start or not: left out, each would be compiled in each process that calls it. */
function compiledWhole(code, filename) {
  const { setFlagsFromString } = require('node:v8')
  setFlagsFromString('--no-lazy')
  try {
    return scriptOf(code, filename)
  } finally {
    setFlagsFromString('--lazy')
  }
}
exports.pack = (code, filename) => {
  const source = HEAD + code + TAIL
  const text = Buffer.from(source + ' '.repeat(-source.length & (ALIGNMENT - 1)), 'latin1')
  const cache = compiledWhole(text.latin1Slice(), filename).createCachedData()
  const header = Buffer.alloc(HEADER)
  header.writeUInt32LE(text.length, 0)
  header.writeUInt32LE(cache.length, 4)
  return Buffer.concat([header, text, cache])
}
exports.codeOf = (bytes) => {
  const source = bytes.latin1Slice(HEADER, HEADER + bytes.readUInt32LE(0)).trimEnd()
  return source.slice(HEAD.length, -TAIL.length)
}
exports.compile = (bytes, filename) => {
  const behind = HEADER + bytes.readUInt32LE(0)
  const code = bytes.latin1Slice(HEADER, behind)
  const cache = bytes.subarray(behind, behind + bytes.readUInt32LE(4))
  const script = scriptOf(code, filename, cache)
  return { script, rejected: script.cachedDataRejected === true }
}
exports.start = (module, require) => {
  const { filename } = module
  const { script } = exports.compile(fs.readFileSync(filename.replace(/js$/, 'image')), filename)
  translateStacks(filename)
  script.runInThisContext()(module.exports, require, module, filename, path.dirname(filename))
}

/** Frames of the image's code name the sources; all others stay as they are. */
function translateStacks(filename) {
  let map
  const positionOf = (line, column) => {
    const { SourceMap } = require('node:module')
    map ??= new SourceMap(JSON.parse(fs.readFileSync(`${filename}.map`, 'utf8')))
    const { originalSource, originalLine, originalColumn } = map.findEntry(line - 1, column - 1)
    if (originalSource === undefined) return undefined
    return `${path.resolve(path.dirname(filename), originalSource)}:${originalLine + 1}:${originalColumn + 1}`
  }
  const translated = (frame) => {
    const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()]
    if (frame.getFileName() !== filename || line === null || column === null) return `${frame}`
    try {
      const position = positionOf(line, column)
      return position ? `${frame}`.replace(`${filename}:${line}:${column}`, position) : `${frame}`
    } catch {
      // No map, or not this code's: where it is in the bundle is better than nothing.
      return `${frame}`
    }
  }
  Error.prepareStackTrace = (error, frames) =>
    [nameOf(error), ...frames.map((frame) => `    at ${translated(frame)}`)].join('\n')
}
function nameOf(error) {
  try {
    return Error.prototype.toString.call(error)
  } catch {
    return 'Error'
  }
}
