/**
 * Other people's FAT: mkfs.fat, fsck.fat and mtools, run on images in a temporary directory.
 *
 * A test whose oracle is absent skips and says which package brings it; NEPTUNE_REQUIRE_ORACLES=1 makes that a failure.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PACKAGES: Record<string, string> = {
  'mkfs.fat': 'dosfstools',
  'fsck.fat': 'dosfstools',
  mcopy: 'mtools',
  mdir: 'mtools',
}
const FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin']
export const toolPath = (name: string): string | undefined =>
  FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path))

/** For `before`: skips the suite when a tool is missing. */
export function needTools(context: Mocha.Context, ...names: string[]): void {
  const missing = names.filter((name) => !toolPath(name))
  if (missing.length === 0) return
  const text = `needs ${missing.join(', ')} (package ${[...new Set(missing.map((name) => PACKAGES[name]))].join(', ')})`
  if (process.env.NEPTUNE_REQUIRE_ORACLES === '1') throw new Error(text)
  console.error(`      ${text}`)
  context.skip()
}

export class ImageFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'fat-'))
  private count = 0

  private tool(name: string, args: string[], input?: Uint8Array) {
    const env = { ...process.env, MTOOLS_SKIP_CHECK: '1', LC_ALL: 'C.UTF-8', TZ: 'UTC' }
    const { status, stdout, stderr, error } = spawnSync(toolPath(name) as string, args, {
      env,
      input,
      maxBuffer: 1 << 28,
    })
    if (error) throw error
    return { status, text: `${stdout.toString()}${stderr.toString()}`, stdout }
  }
  private must(name: string, args: string[], input?: Uint8Array): Buffer {
    const { status, text, stdout } = this.tool(name, args, input)
    if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${text}`)
    return stdout
  }
  private file(bytes?: Uint8Array): string {
    const path = join(this.path, `image-${++this.count}`)
    writeFileSync(path, bytes ?? '')
    return path
  }

  mkfs(bytes: number, ...args: string[]): Buffer {
    const path = this.file()
    truncateSync(path, bytes)
    this.must('mkfs.fat', ['-i', '12345678', ...args, path])
    return readFileSync(path)
  }
  /** Copies host bytes into an image; names with / as mtools has them. */
  fill(image: Uint8Array, entries: Record<string, Uint8Array | 'directory'>): Buffer {
    const path = this.file(image)
    for (const [name, content] of Object.entries(entries))
      if (content === 'directory') this.must('mmd', ['-i', path, `::${name}`])
      else this.must('mcopy', ['-i', path, '-', `::${name}`], content)
    return readFileSync(path)
  }
  read(image: Uint8Array, name: string): Buffer {
    return this.must('mcopy', ['-n', '-i', this.file(image), `::${name}`, '-'])
  }
  /** All paths, files and directories (with a slash), sorted. */
  list(image: Uint8Array): string[] {
    const text = this.must('mdir', ['-i', this.file(image), '-b', '-/', '-a', '::']).toString()
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => line.replace(/^::\/?/, ''))
      .sort()
  }
  /** What fsck.fat has to say, without its banner and summary; nothing when the volume is clean. */
  complaints(image: Uint8Array): { lines: string[]; status: number | null } {
    const path = this.file(image)
    const { text, status } = this.tool('fsck.fat', ['-n', path])
    rmSync(path)
    const lines = text.split('\n').map((line) => line.trim())
    return { lines: lines.filter((line) => line && !/^fsck\.fat \d|\d+ files?, \d+\/\d+ clusters$/.test(line)), status }
  }
  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
