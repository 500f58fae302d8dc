/**
 * The AHCI adapter's process: the HBA on its frame, the disk image of the manifest behind it, and the PCI function's
 * cable.
 *
 * config: image (path, or null for no disk), mode ('rw' unless given, 'ro', 'snapshot'), serial, overlayDirectory, cable.
 */
import { PciFunction } from '#contracts/machine'
import type { Environment, Main } from '#sel4/api'
import { type DiskImage, type ImageMode, openImage } from '../lib/image.ts'
import { cableName, machineOf, serveCable } from '../lib/process.ts'
import { Ahci } from './ahci.ts'
import { AtaDisk } from './ata-disk.ts'

const MODES: readonly unknown[] = ['rw', 'ro', 'snapshot']

export const main: Main = async (env) => run(env, attachedImage(env))
/** The same with a disk that is no file of the manifest. */
export const ahci =
  (image: () => DiskImage): Main =>
  async (env) =>
    run(env, image())

async function run(env: Environment, image: DiskImage | undefined): Promise<void> {
  const machine = machineOf(env)
  const chip = new Ahci({
    clock: env.clock,
    irq: machine.irq(0),
    dma: (address, length, access) => machine.dma(address, length, access),
    publish: (region, offset, value) => machine.publish(region, offset, value),
    quiet: (region, offset) => machine.quiet(region, offset),
    ...(image && { disk: new AtaDisk(image, serialOf(env)) }),
  })
  machine.attach(chip)
  await serveCable(env, cableName(env, `pci-${env.name}`), PciFunction, {
    command: ({ command }) => {
      chip.command(command)
      return {}
    },
  })
}
const serialOf = ({ config, name }: Environment): string =>
  typeof config.serial === 'string' ? config.serial : `NEPTUNE-${name.toUpperCase()}`

function attachedImage(env: Environment): DiskImage | undefined {
  const { image: path, mode = 'rw', overlayDirectory } = env.config
  if (path === null || path === undefined) return undefined
  try {
    if (typeof path !== 'string' || !MODES.includes(mode))
      throw new Error(`The config of ${env.name} needs "image" (a path or null) and "mode" (rw, ro or snapshot)`)
    const directory = typeof overlayDirectory === 'string' ? { overlayDirectory } : {}
    return openImage({ path, mode: mode as ImageMode, ...directory })
  } catch (error) {
    return env.exit(78, (error as Error).message)
  }
}
