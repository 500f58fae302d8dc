/** Images of two lines, started by real Node processes: what V8 accepts, what it refuses, and where an error says it was. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { build } from 'esbuild'

interface Loader {
  pack(code: string, filename: string): Buffer
}
const LOADER = path.join(__dirname, 'loader.cjs')
const SOURCE = `// A comment that keeps lines apart.
export function fail(): never {
  throw new Error('as told')
}
if (process.argv[2] === 'fail') fail()
console.log(JSON.stringify([__filename, typeof require('node:fs').statSync, require.main === module, process.argv.slice(2)]))
`

describe('image loader', function () {
  this.timeout(20_000)
  let folder = ''
  const at = (name: string) => path.join(folder, name)
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-loader-'))
    fs.writeFileSync(at('source.ts'), SOURCE)
    fs.copyFileSync(LOADER, at('loader.cjs'))
    fs.writeFileSync(at('x.js'), "require('./loader.cjs').start(module, require)\n")
    const { outputFiles } = await build({
      entryPoints: [at('source.ts')],
      outfile: at('x.js'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      minifyWhitespace: true,
      sourcemap: 'linked',
      write: false,
    })
    const [map, code] = outputFiles.sort((a, b) => b.path.length - a.path.length)
    fs.writeFileSync(at('x.js.map'), map.text)
    fs.writeFileSync(at('x.image'), (require(LOADER) as Loader).pack(code.text, at('x.js')))
  })
  after(() => fs.rmSync(folder, { recursive: true }))
  const node = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8', cwd: folder })
  /** Whether V8 took the compiled code under these flags. */
  const accepts = (...flags: string[]) => {
    const look = `const bytes = fs.readFileSync('x.image'); console.log(require('./loader.cjs').compile(bytes, '${at('x.js')}').rejected)`
    return node(...flags, '-e', look).stdout.trim() === 'false'
  }

  it('runs the code as the module it stands for', () => {
    for (const flags of [[], ['--max-old-space-size=96']]) {
      const { stdout, stderr } = node(...flags, at('x.js'), 'a', 'b')
      expect(stderr).equal('')
      expect(JSON.parse(stdout)).deep.equal([at('x.js'), 'function', true, ['a', 'b']])
    }
  })
  it('gives V8 what was compiled, whatever the size of its heap', () => {
    expect(accepts()).equal(true)
    expect(accepts('--max-old-space-size=96', '--min-semi-space-size=4')).equal(true)
  })
  it('leaves the heap as small as the flag says', () => {
    const limit = "console.log(require('v8').getHeapStatistics().heap_size_limit)"
    const start = `require('./loader.cjs').compile(fs.readFileSync('x.image'), '${at('x.js')}')`
    const [before, after] = [limit, `${start}; ${limit}`].map(
      (code) => node('--max-old-space-size=96', '-e', code).stdout,
    )
    expect(after).equal(before)
    expect(Number(after)).below(200 * 2 ** 20)
  })
  it('runs the code all the same where V8 refuses what was compiled', () => {
    expect(accepts('--stack-size=700')).equal(false)
    expect(JSON.parse(node('--stack-size=700', at('x.js')).stdout)[0]).equal(at('x.js'))
    const whole = fs.readFileSync(at('x.image'))
    const bare = Buffer.from(whole.subarray(0, 16 + whole.readUInt32LE(0)))
    bare.writeUInt32LE(0, 4)
    fs.writeFileSync(at('x.image'), bare)
    try {
      expect(JSON.parse(node(at('x.js')).stdout)[0]).equal(at('x.js'))
    } finally {
      fs.writeFileSync(at('x.image'), whole)
    }
  })
  it('names the source in a stack, and the bundle when there is no map', () => {
    const { stderr, status } = node(at('x.js'), 'fail')
    expect(status).equal(1)
    expect(stderr)
      .include('Error: as told')
      .and.include(`at fail (${at('source.ts')}:3:9)`)
    fs.renameSync(at('x.js.map'), at('away'))
    try {
      expect(node(at('x.js'), 'fail').stderr).include(`at fail (${at('x.js')}:`)
    } finally {
      fs.renameSync(at('away'), at('x.js.map'))
    }
  })
})
