/** The `neptune` command as another terminal would run it: neptune('ps', '--run', run) → its exit code and what it said. */
import { type ChildProcess, execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { images } from './system.ts'

export interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
}
export async function neptune(...args: string[]): Promise<Result> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [path.join(images, 'cli.js'), ...args])
    return { code: 0, out: stdout, err: stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string } & ChildProcess
    return { code, out: String(stdout), err: String(stderr) }
  }
}
