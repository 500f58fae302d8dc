/**
 * From launch.json and the command line to the manifest that the kernel will read.
 *
 *   parseDisk('ahci:IMG[:ro|:snapshot]')   one --disk option
 *   openDisk(disk)                         checks and locks the image; says in one sentence what is wrong with it
 *   openNamed(what, file)                  a file the user named, or the sentence why not
 *   effectiveManifest(manifest, options)   the manifest with the options applied
 *
 * The manifest's own rules are the kernel's to check; here it only has to be JSON.
 */
import fs from 'node:fs'
import path from 'node:path'
import { errorCode, UserError } from '../user-error.ts'
import { tryLock } from './file-lock.ts'

export type DiskMode = 'rw' | 'ro' | 'snapshot'
export interface Disk {
  readonly controller: 'ahci'
  readonly image: string
  readonly mode: DiskMode
}
export type Manifest = {
  banks?: Record<string, { bytes: string | number }>
  devices?: Record<string, { image: string; config?: Record<string, unknown> }>
  panel?: { image?: string; config?: Record<string, unknown> }
  [key: string]: unknown
}

export function parseDisk(text: string): Disk {
  const match = /^(?<controller>[a-z]+):(?<image>.+?)(?::(?<mode>ro|snapshot|rw))?$/.exec(text)
  if (!match?.groups)
    throw new UserError(`--disk ${text} is not CONTROLLER:IMAGE[:ro|:snapshot]; for example --disk ahci:disk.img:ro`)
  const { controller, image, mode } = match.groups
  if (controller !== 'ahci') throw new UserError(`there is no disk controller ${controller}; the machine has ahci`)
  return { controller, image: path.resolve(image), mode: (mode as DiskMode | undefined) ?? 'rw' }
}

/** The smallest unit a disk has; an image of another size was cut off or is something else. [ATA8-ACS] 4.1 */
const SECTOR = 512
/** Opens, checks and locks the image; the lock lasts as long as this process. */
export function openDisk(disk: Disk): void {
  const { image, mode } = disk
  const stat = statImage(image)
  if (!stat.isFile() && !stat.isBlockDevice())
    throw new UserError(`the disk image ${image} is not a file: give the path of an image`)
  if (stat.isFile() && (stat.size === 0 || stat.size % SECTOR !== 0))
    throw new UserError(
      `${image} is no disk image: its size, ${stat.size} bytes, is not a positive multiple of ${SECTOR}; choose another, or make one with mkfs.fat -C`,
    )
  const descriptor = openImage(image, mode)
  if (!tryLock(descriptor, mode === 'rw' ? 'exclusive' : 'shared')) {
    fs.closeSync(descriptor)
    throw new UserError(
      `the disk image ${image} is locked: another system is using it; stop that one, or add :ro if both only read`,
    )
  }
}
function statImage(image: string): fs.Stats {
  try {
    return fs.statSync(image)
  } catch (error) {
    if (errorCode(error) === 'ENOENT')
      throw new UserError(`there is no disk image ${image}: check the path, or make one with mkfs.fat -C`)
    throw new UserError(`the disk image ${image} cannot be reached (${errorCode(error)})`)
  }
}
function openImage(image: string, mode: DiskMode): number {
  try {
    return fs.openSync(image, mode === 'rw' ? 'r+' : 'r')
  } catch (error) {
    const advice = mode === 'rw' ? 'make it writable, or add :ro or :snapshot' : 'make it readable'
    throw new UserError(`the disk image ${image} cannot be opened (${errorCode(error)}): ${advice}`)
  }
}

/** A file the user named, open for reading. `what`: the user's word for it. */
export function openNamed(what: string, file: string): number {
  let descriptor: number
  try {
    descriptor = fs.openSync(file, 'r')
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT') throw new UserError(`there is no ${what} ${file}: check the path`)
    throw new UserError(`the ${what} ${file} cannot be read (${code}): make it readable`)
  }
  if (!fs.fstatSync(descriptor).isDirectory()) return descriptor
  fs.closeSync(descriptor)
  throw new UserError(`the ${what} ${file} is a directory: give the path of a file`)
}
function readNamed(what: string, file: string): string {
  const descriptor = openNamed(what, file)
  try {
    return fs.readFileSync(descriptor, 'utf8')
  } finally {
    fs.closeSync(descriptor)
  }
}
export function readManifest(file: string): Manifest {
  const text = readNamed('manifest', file)
  try {
    return JSON.parse(text) as Manifest
  } catch (error) {
    throw new UserError(`the manifest ${file} is not JSON: ${(error as Error).message}; correct it there`)
  }
}

export interface LaunchOptions {
  readonly disk?: Disk
  readonly slowpath?: boolean
  /** Added to the panel's config: where it asks for a stop. */
  readonly panel: object
}
export function effectiveManifest(manifest: Manifest, options: LaunchOptions): Manifest {
  const effective = structuredClone(manifest)
  if (options.slowpath) effective.slowpath = true
  if (options.disk) plugIn(effective, options.disk)
  if (effective.panel) effective.panel.config = { ...effective.panel.config, ...options.panel }
  return effective
}
function plugIn(manifest: Manifest, disk: Disk): void {
  const device = manifest.devices?.[`${disk.controller}0`]
  if (!device)
    throw new UserError(
      `--disk names the controller ${disk.controller}, but the manifest has no device ${disk.controller}0`,
    )
  device.config = { ...device.config, image: disk.image, mode: disk.mode }
}

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }
/** What the banks will take of the run directory's file system; a bank the kernel will refuse counts for nothing. */
export function bankBytes(manifest: Manifest): number {
  return Object.values(manifest.banks ?? {}).reduce((sum, { bytes }) => sum + sizeOf(bytes), 0)
}
function sizeOf(bytes: string | number): number {
  if (typeof bytes === 'number') return bytes
  const match = /^(\d+) (B|KiB|MiB|GiB)$/.exec(bytes)
  return match ? Number(match[1]) * UNITS[match[2]] : 0
}

/** Whether another process uses the image now. */
export function isLocked(image: string): boolean {
  const descriptor = fs.openSync(image, 'r')
  try {
    return !tryLock(descriptor, 'exclusive')
  } finally {
    fs.closeSync(descriptor)
  }
}
