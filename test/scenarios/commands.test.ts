/** Every command with its words, on disks of every kind; what they did is judged by mtools and fsck.fat afterwards. */
import { expect } from 'chai'
import { hashOf, noise } from '../support/disk-image.ts'
import { Stage } from '../support/stage.ts'

const MiB = 1 << 20
const NOT_FOUND = 'The system cannot find the file specified.'
const NO_PATH = 'The system cannot find the path specified.'
const USAGE: readonly string[] = [
  'dir [PATH]',
  'cd [PATH]',
  'pwd',
  'type FILE',
  'copy FROM TO',
  'del FILE',
  'ren FROM TO',
  'md DIRECTORY',
  'mount DRIVE',
  'umount DRIVE',
  'sync [DRIVE]',
  'ps',
  'lm',
  'devtree',
  'kill NAME',
  'exit',
  'shutdown',
  'help',
]

describe('commands', function () {
  this.timeout(120_000)
  const stage = Stage.ofEachTest()
  const says = async (line: string, expected: string | RegExp) => {
    const said = await stage.system.enter(line)
    if (typeof expected === 'string') expect(said, line).equal(expected)
    else expect(said, line).match(expected)
  }
  const end = async (code: number) => {
    expect(await stage.system.shutdown()).deep.equal({ code, signal: null })
    await stage.system.expectNothingLeft()
  }

  it('change a disk as they say, and leave it whole without an umount', async function () {
    const disk = stage.disk(this, { fat: 32, bytes: 64 * MiB })
    disk.put('ReadMe.txt', Buffer.from('first line\r\nsecond line\r\n'))
    disk.put('Some long directory name/Inside it/a file.dat', noise(70_000, 'a'))
    for (const name of ['one.log', 'two.log', 'three.txt']) disk.put(`logs/${name}`, noise(1000, name))
    await stage.boot()

    const help = await stage.system.enter('help')
    for (const usage of USAGE) expect(help).include(usage)
    await says('pwd', 'C:\\')
    await says('type readme.TXT', 'first line\nsecond line')
    await says('dir', /^ Directory of C:\\\n\n(.+\n)+ +1 File\(s\) +25 bytes\n +2 Dir\(s\) +[\d,]+ bytes free$/)
    await says('dir logs\\*.log', /one\.log\n.*two\.log\n +2 File\(s\) +2,000 bytes/)
    await says('cd "some long directory name"', '')
    await says('cd', 'C:\\some long directory name')
    await says('copy "inside it\\a file.dat" ..\\b.dat', '        1 file(s) copied.')
    await says('cd ..', '')
    await says('md tree', '')
    await says('md tree\\branch', '')
    await says('md tree\\branch', 'A file or directory with that name already exists.')
    await says('copy logs\\*.log tree\\branch', '        2 file(s) copied.')
    await says('del logs\\*.log', '')
    await says('ren b.dat "tree\\A new and much longer name.data"', '')
    await says('ren tree forest', '')
    await says('del forest', 'The directory is not empty.')
    await says('md empty', '')
    await says('del empty', '')
    await says('sync', '')
    await says('mount c', /^C: NEPTUNE, serial number [0-9A-F]{4}-[0-9A-F]{4}$/)
    await says('ps', /^ +PID +Name.*\n(.*\n)* +\d+ +ntcmd +/)
    await says('lm', /^List of driver objects \(\d+ total\):\n(.*\n)* +.*fatfs/)
    await says('devtree', /^HTREE\\ROOT\\0 [\s\S]*storahci[\s\S]*disk/i)
    await says('kill kbdclass', '')
    await says('pwd', 'C:\\')
    await says('rem nothing at all', '')

    await end(1)
    expect(disk.complaints()).deep.equal([])
    expect(disk.list()).deep.equal(
      [
        'ReadMe.txt',
        'Some long directory name/',
        'Some long directory name/Inside it/',
        'Some long directory name/Inside it/a file.dat',
        'forest/',
        'forest/A new and much longer name.data',
        'forest/branch/',
        'forest/branch/one.log',
        'forest/branch/two.log',
        'logs/',
        'logs/three.txt',
      ].sort(),
    )
    expect(disk.hash('forest/A new and much longer name.data')).equal(hashOf(noise(70_000, 'a')))
    for (const name of ['one.log', 'two.log'])
      expect(disk.hash(`forest/branch/${name}`)).equal(hashOf(noise(1000, name)))
  })

  it('refuse at once to change a disk that is opened :ro, and say nothing else', async function () {
    const disk = stage.disk(this, { fat: 32, bytes: 64 * MiB })
    disk.put('ReadMe.txt', Buffer.from('first line\r\n'))
    const before = hashOf(disk.raw())
    await stage.boot({ mode: 'ro' })
    await says('type ReadMe.txt', 'first line')
    for (const line of ['copy ReadMe.txt Copy.txt', 'md New', 'ren ReadMe.txt Other.txt', 'del ReadMe.txt'])
      await says(line, 'The disk is write-protected.')
    await says('sync', '')
    await end(1)
    expect(hashOf(disk.raw())).equal(before)
  })

  it('answer a mistake with a sentence and count it', async function () {
    const disk = stage.disk(this, { fat: 16, bytes: 32 * MiB })
    disk.put('a.txt', Buffer.from('a'))
    disk.put('A rather long name.txt', Buffer.from('a long one'))
    disk.makeDirectory('d')
    await stage.boot()
    await says('type none.txt', NOT_FOUND)
    await says('type d', 'That is a directory.')
    await says('type none\\a.txt', NO_PATH)
    await says('type', 'Usage: type FILE')
    await says('copy a.txt', 'Usage: copy FROM TO')
    await says('copy a.txt A.TXT', 'A file cannot be copied onto itself.')
    await says('copy "A rather long name.txt" ARATHE~1.TXT', 'The file is in use.')
    await says('type "A rather long name.txt"', 'a long one')
    await says('copy none.txt b.txt', NOT_FOUND)
    await says('copy a.txt none\\', NO_PATH)
    await says('ren a.txt none/', NO_PATH)
    await says('ntcmd', 'That program runs already, and can run once.')
    await says('del none.txt', NOT_FOUND)
    await says('del c:\\', 'A root directory cannot be deleted.')
    await says('ren none.txt b.txt', NOT_FOUND)
    await says('ren a.txt d\\..\\..\\d\\|.txt', 'The file name, directory name, or volume label syntax is incorrect.')
    await says('ren d d\\below', 'The parameter is incorrect.')
    await says('md a.txt', 'A file or directory with that name already exists.')
    await says('cd a.txt', 'The directory name is invalid.')
    await says('cd none', NOT_FOUND)
    await says('umount 7', '7 is no drive: say a letter, as in C.')
    await says('mount q', /^The system cannot find the (file|path) specified\.$/)
    await says('kill nobody', 'There is no process nobody: ps lists them.')
    await says(
      `type a.txt${' '.repeat(1020)}none.txt`,
      /^The line is longer than 1024 characters: nothing was done\.$/m,
    )
    await says('frobnicate', "'frobnicate' is neither a command nor a program: type help for the list.")
    await says('type a.txt', 'a')
    await end(1)
    expect(disk.complaints()).deep.equal([])
    expect(disk.list()).deep.equal(['A rather long name.txt', 'a.txt', 'd/'])
  })

  it('lose nothing when the disk is full, and dismount and mount again', async function () {
    const disk = stage.disk(this, { fat: 12, bytes: 4 * MiB })
    disk.put('half.bin', noise(2.2 * MiB, 'half'))
    disk.put('small.bin', noise(100_000, 'small'))
    await stage.boot()
    await says('copy half.bin again.bin', 'There is not enough space on the disk.')
    await says('dir again.bin', 'File Not Found')
    await says('copy small.bin fits.bin', '        1 file(s) copied.')
    await says('umount C', '')
    await says('mount C', /^C: NEPTUNE/)
    await says('copy small.bin also.bin', '        1 file(s) copied.')
    await end(1)
    expect(disk.complaints()).deep.equal([])
    expect(disk.hash('half.bin')).equal(hashOf(noise(2.2 * MiB, 'half')))
    for (const name of ['small.bin', 'fits.bin', 'also.bin'])
      expect(disk.hash(name)).equal(hashOf(noise(100_000, 'small')))
  })

  for (const mode of ['ro', 'snapshot'] as const)
    it(`leave a disk attached as ${mode} as it was`, async function () {
      const disk = stage.disk(this, { fat: 32, bytes: 40 * MiB })
      disk.put('a.bin', noise(300_000, 'a'))
      const before = hashOf(disk.raw())
      await stage.boot({ mode })
      await says('dir', / 1 File\(s\) +300,000 bytes/)
      await says(
        'copy a.bin b.bin',
        mode === 'ro' ? /write-protected|Delayed write failed/ : '        1 file(s) copied.',
      )
      if (mode === 'snapshot') {
        await says('del a.bin', '')
        await says('md d', '')
        await says('dir', / 1 File\(s\) +300,000 bytes\n +1 Dir\(s\)/)
      }
      expect((await stage.system.shutdown()).code === 0).equal(mode === 'snapshot')
      await stage.system.expectNothingLeft()
      expect(hashOf(disk.raw())).equal(before)
    })
})
