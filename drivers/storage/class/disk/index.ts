/**
 * disk: the class driver of direct-access devices (hardware id GenDisk). \Device\Harddisk<n>\DR<n> over the unit's PDO.
 *
 * References: [SPC-4], [SBC-3]; ntdddisk.h for what programs see.
 */
import { FILE_DEVICE_DISK } from '#drivers/lib/io'
import { ensureDirectory, ensureLink } from '#drivers/lib/pnp'
import type { DRIVER_INITIALIZE } from '#wdm'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import { type ClassFdo, ClassInitialize } from '../classpnp/index.ts'
import { diskDeviceControl } from './ioctl.ts'
import { readCapacity, readDescriptor, readMode, readTransferMax } from './medium.ts'

const diskName = (number: number): string => `\\Device\\Harddisk${number}\\DR${number}`

async function startDisk(fdo: ClassFdo): Promise<NTSTATUS> {
  const { DriverObject } = fdo.DeviceObject
  try {
    fdo.classData = await readDescriptor(fdo)
    const capacity = await readCapacity(fdo)
    fdo.transferMax = await readTransferMax(fdo, capacity.sectorSize)
    fdo.forceUnitAccess = (await readMode(fdo)).forceUnitAccess
    fdo.medium = capacity
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    DriverObject.log.error('the disk did not start', { disk: fdo.number, why: error.message })
    return error.status
  }
  await ensureLink(DriverObject, `\\Device\\Harddisk${fdo.number}\\Partition0`, diskName(fdo.number))
  await ensureLink(DriverObject, `\\DosDevices\\PhysicalDrive${fdo.number}`, diskName(fdo.number))
  return NT_STATUS.STATUS_SUCCESS
}

export const DriverEntry: DRIVER_INITIALIZE = (DriverObject) =>
  ClassInitialize(DriverObject, {
    DeviceType: FILE_DEVICE_DISK,
    book: 'Harddisk',
    ClassDeviceName: async (driver, number) => {
      await ensureDirectory(driver, `\\Device\\Harddisk${number}`)
      return diskName(number)
    },
    ClassStartDevice: startDisk,
    ClassDeviceControl: diskDeviceControl,
  })
