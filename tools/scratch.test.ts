import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { makeScratch } from './scratch.ts'

describe("tests' folders", () => {
  let root: string
  const children: ChildProcess[] = []
  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'scratch-'))
  })
  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child)
    fs.rmSync(root, { recursive: true, force: true })
  })
  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  /** A process that made one of that kind, put something into it, and waits. */
  async function maker(kind: string): Promise<{ child: ChildProcess; folder: string }> {
    const program = `const folder = require('./scratch.ts').makeScratch('${kind}', ${JSON.stringify(root)})
      require('fs').mkdirSync(folder + '/run'); require('fs').writeFileSync(folder + '/run/bank', 'x'); console.log(folder); setInterval(() => {}, 1e6)`
    const child = spawn(process.execPath, ['--require', './register.cjs', '--eval', program], {
      cwd: __dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const [text] = (await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')) as [Buffer]
    return { child, folder: text.toString().trim() }
  }

  it('of one that was killed go when the next of their kind is made, and no other does', async () => {
    const [dead, other, living] = await Promise.all([maker('system'), maker('disk'), maker('system')])
    await Promise.all([kill(dead.child), kill(other.child)])
    const strangers = [
      'neptune-system',
      'neptune-system-1-1',
      'neptune-system-x-1-abcdef',
      'my-neptune-system-1-1-abcdef',
    ]
    for (const name of strangers) fs.mkdirSync(path.join(root, name))
    const mine = makeScratch('system', root)
    const left = [mine, other.folder, living.folder, ...strangers.map((name) => path.join(root, name))]
    expect(fs.readdirSync(root).sort()).deep.equal(left.map((folder) => path.basename(folder)).sort())
  })
  it('stay while somebody works in them', async () => {
    const { child, folder } = await maker('system')
    await kill(child)
    const user = spawn('sh', ['-c', 'read _', 'sh', path.join(folder, 'run')], { stdio: ['pipe', 'ignore', 'ignore'] })
    children.push(user)
    await once(user, 'spawn')
    makeScratch('system', root)
    expect(fs.existsSync(folder)).equal(true)
    await kill(user)
    makeScratch('system', root)
    expect(fs.existsSync(folder)).equal(false)
  })
  it('are nobody else’s: a link, and what another user made, are left alone', function () {
    const name = path.join(root, 'neptune-system-1-1-abcdef')
    const target = path.join(root, 'precious')
    fs.mkdirSync(target)
    fs.symlinkSync(target, name)
    makeScratch('system', root)
    expect([fs.existsSync(target), fs.existsSync(name)]).deep.equal([true, true])
    if (process.getuid?.() !== 0) return this.skip()
    fs.rmSync(name)
    fs.mkdirSync(name)
    fs.chownSync(name, 12_345, 12_345)
    makeScratch('system', root)
    expect(fs.existsSync(name)).equal(true)
  })
})
