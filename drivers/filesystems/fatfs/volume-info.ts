/**
 * IRP_MJ_QUERY_VOLUME_INFORMATION, and what a mount answers. [MS-FSCC] 2.5
 */
import * as nt from '#contracts/information'
import { StatusError } from '#rtl'
import type { Volume } from './volume.ts'

/** The root's label entry if there is one, else the boot sector's. */
export function labelOf(volume: Volume): string {
  const { VolLab } = volume.geometry
  return volume.root.label || (VolLab === 'NO NAME' ? '' : VolLab)
}

const attributesOf = ({ seams }: Volume): number =>
  nt.FILE_CASE_PRESERVED_NAMES | nt.FILE_UNICODE_ON_DISK | (seams.readOnly ? nt.FILE_READ_ONLY_VOLUME : 0)

export async function queryVolumeInformation(volume: Volume, number: number, room: number): Promise<nt.Encoded> {
  const { geometry, seams } = volume
  switch (number) {
    case nt.FileFsVolumeInformation.number:
      return nt.FileFsVolumeInformation.encode(
        {
          VolumeCreationTime: 0,
          VolumeSerialNumber: geometry.VolID,
          SupportsObjects: false,
          VolumeLabel: labelOf(volume),
        },
        room,
      )
    case nt.FileFsSizeInformation.number:
      return nt.FileFsSizeInformation.encode(
        {
          TotalAllocationUnits: geometry.CountOfClusters,
          AvailableAllocationUnits: await volume.fat.freeClusters(),
          SectorsPerAllocationUnit: geometry.SecPerClus,
          BytesPerSector: geometry.BytsPerSec,
        },
        room,
      )
    case nt.FileFsDeviceInformation.number: {
      const { DeviceType, Characteristics } = seams.storage.StorageDevice
      return nt.FileFsDeviceInformation.encode({ DeviceType, Characteristics }, room)
    }
    case nt.FileFsAttributeInformation.number:
      return nt.FileFsAttributeInformation.encode(
        {
          FileSystemAttributes: attributesOf(volume),
          MaximumComponentNameLength: 255,
          FileSystemName: geometry.FatType === 32 ? 'FAT32' : 'FAT',
        },
        room,
      )
    default:
      throw new StatusError('STATUS_INVALID_INFO_CLASS', `${number}`)
  }
}
