/**
 * `neptune boot` and `neptune run`: which disk, which manifest; the launcher does the rest.
 *
 *   paths      where the built images and the manifest are, seen from dist/images/cli.js
 *   boot(options, say)   resolves to the system's exit code
 */
import fs from 'node:fs'
import path from 'node:path'
import { containersOf } from '../compose/containers.ts'
import { FIRST_DISK, makeDiskImage, welcomeTree } from '../disk/image.ts'
import { launch } from '../launcher/launch.ts'
import { type Disk, isLocked, parseDisk, readManifest } from '../launcher/options.ts'
import { UserError } from '../user-error.ts'

export interface BootOptions {
  readonly disk?: string
  readonly slowpath?: boolean
  readonly run?: string
  readonly manifest?: string
  readonly script?: string
  /** Processes are started by agents in containers; see tools/compose. */
  readonly agents?: boolean
}
type Say = (sentence: string) => void

/** This file's code ends up in dist/images/cli.js. */
const root = path.resolve(__dirname, '..', '..')
export const paths = {
  root,
  kernelImage: path.join(__dirname, 'kernel.js'),
  manifest: path.join(root, 'launch.json'),
}

export async function boot(options: BootOptions, say: Say): Promise<number> {
  const disk = options.disk === undefined ? undefined : parseDisk(options.disk)
  const manifest = options.manifest ?? paths.manifest
  if (options.agents && disk) await makeShared(disk, manifest, say)
  return launch({
    kernelImage: paths.kernelImage,
    manifest,
    run: options.run,
    disk: async (run) => disk ?? (await ownDisk(run, manifest, say)),
    slowpath: options.slowpath,
    script: options.script,
    containers: options.agents ? containersOf(readManifest(manifest)) : undefined,
    say,
  })
}

const OWN_DISK = 'neptune-disk.img'
/** The disk in the working directory, made when it is not there; while another system uses that, a disk for this run only. */
async function ownDisk(run: string, manifest: string, say: Say): Promise<Disk> {
  const image = path.resolve(OWN_DISK)
  if (!fs.existsSync(image)) await checkManifest(manifest)
  const kept = make(image, FIRST_DISK)
  if (kept === 'made') say(`made a ${FIRST_DISK.bytes >> 20} MiB disk for you in ${image}: what you change on it stays`)
  if (kept !== 'impossible' && !isLocked(image)) return { controller: 'ahci', image, mode: 'rw' }
  const own = path.join(run, 'disk.img')
  make(own)
  say(
    `${image} ${kept === 'impossible' ? 'cannot be written' : 'is in use by another system'}: this one has a disk of its own, gone when it ends`,
  )
  return { controller: 'ahci', image: own, mode: 'rw' }
}
/** The disk of docker-compose.yml is made at the first start; the disk controller's container is in our group. */
async function makeShared({ image }: Disk, manifest: string, say: Say): Promise<void> {
  if (path.basename(image) !== OWN_DISK || fs.existsSync(image)) return
  await checkManifest(manifest)
  if (make(image, FIRST_DISK) !== 'made')
    throw new UserError(`the disk image ${image} cannot be made: is its folder writable?`)
  fs.chmodSync(image, 0o660)
  say(`made a ${FIRST_DISK.bytes >> 20} MiB disk in ${image}: what you change on it stays until docker compose down -v`)
}
/** The kernel checks the manifest anyway; before something is made that stays, it is checked here too. */
async function checkManifest(manifest: string): Promise<void> {
  const { loadManifest, ManifestError } = await import('../../kernel/manifest/index.ts')
  try {
    loadManifest(manifest, root)
  } catch (error) {
    throw error instanceof ManifestError ? new UserError(error.message) : error
  }
}
/** A small one where no size is wanted. */
function make(image: string, size: { bytes?: number; big?: number } = {}): 'made' | 'there' | 'impossible' {
  try {
    fs.accessSync(image, fs.constants.R_OK | fs.constants.W_OK)
    return 'there'
  } catch {
    // Not there yet, or not ours: the next step tells which.
  }
  try {
    makeDiskImage(image, { tree: welcomeTree(size.big), bytes: size.bytes })
    return 'made'
  } catch {
    return 'impossible'
  }
}
