/**
 * The kernel's process: reads the run directory's launch.json, boots, answers the control socket, ends with the launcher.
 *
 *   node kernel.js RUN       started by the launcher with RUN/{s,banks,log} made and RUN/launch.json written
 *
 * Ends with the code the root task's shutdown names; 1 when the root task died; the reason goes to stderr. The launcher's
 * death is noticed by PR_SET_PDEATHSIG, by a changed parent, and by the end of file descriptor 3 when it gave one.
 */
import { existsSync, fstatSync, readdirSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { dieWithParent, parentPid } from '../lib/sel4/memory/process.ts'
import { AgentHost, readContainers } from './agent-host.ts'
import type { Container } from './agent-spawner.ts'
import { serveControl } from './control.ts'
import { Kernel } from './kernel.ts'
import { loadManifest, ManifestError, PANEL, viewOf } from './manifest/index.ts'
import { OsHost, type OsHostOptions, startTimeOf } from './os-host.ts'

const LAUNCHER_CHECK_MS = 500

function watchLauncher(kernel: Kernel): void {
  const parent = parentPid()
  if (!dieWithParent(parent)) process.exit(1)
  const gone = () => kernel.pressPowerButton(1, 'the launcher died')
  setInterval(() => {
    if (parentPid() !== parent) gone()
  }, LAUNCHER_CHECK_MS).unref()
  // A Socket and not a file stream: a blocking read in the thread pool would keep this process from ending.
  if (isPipe(3)) new Socket({ fd: 3 }).on('error', gone).on('close', gone).resume().unref()
}
function isPipe(descriptor: number): boolean {
  try {
    const stat = fstatSync(descriptor)
    return stat.isFIFO() || stat.isSocket()
  } catch {
    return false
  }
}
/** Images lie beside the kernel's own bundle. */
const bundleOf = (image: string): string => join(dirname(process.argv[1]), `${image}.js`)
/** The folder with the images' descriptions: given by the launcher, else the repository above dist/images. */
const descriptions = (): string => process.env.NEPTUNE_ROOT ?? join(dirname(process.argv[1]), '..', '..')

async function main(run: string): Promise<void> {
  const manifest = loadManifest(join(run, 'launch.json'), descriptions())
  let kernel: Kernel | undefined
  const containers = readContainers(run)
  const options: OsHostOptions = {
    run,
    bundle: bundleOf,
    onMessage: (token, message) => kernel?.onMessage(token, message),
    onExit: (token, status) => kernel?.onExit(token, status),
    onEnd: (code, reason) => {
      if (code !== 0) process.stderr.write(`neptune: ${reason}\n`)
      process.exit(code)
    },
  }
  const host = containers ? new AgentHost(options, containers) : new OsHost(options)
  await host.open()
  kernel = new Kernel(host, manifest, viewOf(manifest))
  const about = { pid: process.pid, startTime: startTimeOf(process.pid) }
  writeFileSync(join(run, 'kernel.json'), JSON.stringify(about), { mode: 0o600 })
  watchLauncher(kernel)
  const stop = () => kernel?.pressPowerButton(0, 'asked to stop')
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const control = serveControl(join(run, 'control'), kernel)
  if (host instanceof AgentHost) await gather(host, kernel, run, containers)
  kernel.boot()
  await control
}
/** Every process of the manifest has a container; the slowest of thirty on a small machine takes its time. */
const GATHERING_MS = 180_000
const HOW_TO_ATTACH = `neptune: every container is here; the prompt is at
neptune:     docker compose attach panel        (Ctrl-P Ctrl-Q leaves it, Ctrl-C stops the system)
`
async function gather(host: AgentHost, kernel: Kernel, run: string, containers: readonly Container[] = []) {
  const panel = containers.find(({ name }) => name === PANEL)
  if (panel) await serveControl(join(run, PANEL, 'control'), kernel, { only: 'shutdown', user: panel.user })
  const missing = await host.missing(GATHERING_MS)
  if (missing.length === 0) return void process.stderr.write(HOW_TO_ATTACH)
  process.stderr.write(`these containers did not come within ${GATHERING_MS / 1000} s: ${missing.join(' ')}\n`)
  process.exit(1)
}
function fail(error: unknown): never {
  const known = error instanceof ManifestError
  process.stderr.write(
    `neptune: ${known ? error.message : `the kernel failed: ${error instanceof Error ? error.stack : String(error)}`}\n`,
  )
  process.exit(known ? 2 : 70)
}

const [run] = process.argv.slice(2)
if (!run || !existsSync(run) || !readdirSync(run).includes('launch.json'))
  fail(new ManifestError(['The kernel is started by the launcher with a run directory. Try `npx neptune boot`.']))
process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
void main(run)
