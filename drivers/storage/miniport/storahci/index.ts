/**
 * storahci: the miniport of AHCI controllers (PCI\CC_010601). storport gives it IRPs as SRBs.
 *
 * References: [AHCI] Serial ATA AHCI 1.3.1 · [ATA8-ACS] T13/1699-D · [SAT-3] T10/BSR INCITS 517 · [SPC-4], [SBC-3] ·
 * [SATA] Serial ATA 3.x
 */
import type { DRIVER_INITIALIZE } from '#wdm'
import { StorPortInitialize } from '../../port/storport/index.ts'
import { HwFindAdapter } from './adapter.ts'

export const DriverEntry: DRIVER_INITIALIZE = (DriverObject) => StorPortInitialize(DriverObject, { HwFindAdapter })
