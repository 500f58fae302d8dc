/**
 * A program that uses up what it is given, in place of diskbench's image, and a manifest that gives it little.
 *
 *   diskbench spin     works for four seconds without a pause, then says how much processor time it had
 *   diskbench hoard    fills memory that is not V8's, for ever
 *
 *   glutton(folder)    writes all that into the folder; the path of a compose file that goes over docker-compose.yml
 */
import fs from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'
import { repository } from '../support/system.ts'

export const LIMITS = { cpuShare: 20, data: '64 MiB', heap: '64 MiB', leaseMs: 1000 }
const IMAGE = 'diskbench'
const PROGRAM = `
import { nativeMain } from '#ntdll'
import { start } from './lib/sel4/start.ts'
start(nativeMain(async (program) => {
  if (program.commandLine.endsWith('hoard'))
    for (const all = []; ; await program.sleep(5)) all.push(Buffer.alloc(1 << 20, 1))
  for (const end = Date.now() + 4000; Date.now() < end; );
  const { user, system } = process.cpuUsage()
  await program.print('spun ' + Math.round((user + system) / 1000) + ' ms\\n')
  return 0
}))
`

export async function glutton(folder: string): Promise<string> {
  const write = (name: string, value: object) => {
    fs.writeFileSync(path.join(folder, name), JSON.stringify(value))
    return path.join(folder, name)
  }
  const outfile = path.join(folder, `${IMAGE}.js`)
  await build({
    stdin: { contents: PROGRAM, resolveDir: repository, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['zeromq', 'koffi', 'msgpackr-extract'],
    logLevel: 'error',
  })
  const manifest = JSON.parse(fs.readFileSync(path.join(repository, 'launch.json'), 'utf8'))
  manifest.images[IMAGE].limits = LIMITS
  const launch = write('launch.json', manifest)
  const mounts = (...volumes: string[]) => ({ volumes })
  return write('compose.json', {
    services: {
      kernel: mounts(`${launch}:/neptune/launch.json:ro`),
      [IMAGE]: mounts(`${outfile}:/neptune/dist/images/${IMAGE}.js:ro`),
    },
  })
}
