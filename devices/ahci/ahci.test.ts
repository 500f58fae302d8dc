import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { PciFunction } from '#contracts/machine'
import { fakeEnvironment } from '#sel4/fake'
import { bench, BUFFER, type CommandOptions, LIST, RECEIVED, SECTORS } from './ahci-support.ts'
import { main } from './index.ts'
import { ATA, CAP, CAP2, CMD, GHC, HBA, IS, PORT_BYTES, PX, PX_ABSENT, SERR } from './registers.ts'

const text = (words: Uint16Array, first: number, last: number) =>
  [...words.subarray(first, last + 1)]
    .map((word) => String.fromCharCode(word >> 8, word & 0xff))
    .join('')
    .trim()

describe('ahci', () => {
  it('comes up with the specification’s reset values', () => {
    const { hba, px } = bench({ start: false })
    expect(hba(HBA.CAP)).to.equal(0xc1349f00)
    expect([hba(HBA.GHC), hba(HBA.IS), hba(HBA.PI), hba(HBA.VS), hba(HBA.CAP2)]).to.deep.equal([
      0x80000000, 0, 1, 0x10301, 0,
    ])
    expect([px(PX.CMD), px(PX.TFD), px(PX.SIG), px(PX.SSTS)]).to.deep.equal([6, 0x80, 0xffffffff, 0x133])
    expect(px(PX.SERR)).to.equal(SERR.X + SERR.N)
    expect(px(PX.IS)).to.equal(IS.PCS + IS.PRCS)
  })

  it('shows an empty port when there is no image', () => {
    const { px } = bench({ disk: false })
    expect([px(PX.SSTS), px(PX.TFD), px(PX.SIG), px(PX.IS)]).to.deep.equal([0, 0x7f, 0xffffffff, 0])
  })

  it('shows the signature once frames are received and DIAG.X is clear', () => {
    const { chip, px, set, fis } = bench({ start: false })
    chip.command(6)
    set(PX.FB, RECEIVED)
    set(PX.CMD, CMD.FRE)
    expect(px(PX.CMD) & CMD.FR).to.equal(CMD.FR)
    expect(px(PX.TFD)).to.equal(0x80)
    set(PX.SERR, SERR.X)
    expect([px(PX.TFD), px(PX.SIG)]).to.deep.equal([0x150, 0x101])
    expect(px(PX.IS)).to.equal(IS.PRCS)
    expect(fis(0x40).slice(0, 8)).to.deep.equal([0x34, 0, 0x50, 1, 1, 0, 0, 0])
  })

  it('keeps reserved bits zero and read-only registers', () => {
    const { px, set, hba, setHba } = bench()
    set(PX.CLB, 0xffffffff)
    set(PX.FB, 0xffffffff)
    set(PX.IE, 0xffffffff)
    expect([px(PX.CLB), px(PX.FB), px(PX.IE)]).to.deep.equal([0xfffffc00, 0xffffff00, 0x7dc0007f])
    set(PX.SSTS, 0)
    set(PX.TFD, 0)
    expect([px(PX.SSTS), px(PX.TFD)]).to.deep.equal([0x133, 0x150])
    setHba(HBA.CAP, 0)
    setHba(HBA.PI, 0xff)
    setHba(HBA.GHC, 0)
    expect([hba(HBA.PI), hba(HBA.GHC)]).to.deep.equal([1, 0x80000000])
  })

  it('has no notification, FIS-based switching or device sleep: it says so, and their registers are reserved', () => {
    const { px, set, hba, setHba } = bench()
    expect([hba(HBA.CAP) & (CAP.SSNTF | CAP.FBSS), hba(HBA.CAP2) & CAP2.SDS]).to.deep.equal([0, 0])
    const reserved = Array.from({ length: (PORT_BYTES - PX_ABSENT.SNTF) / 4 }, (_, i) => PX_ABSENT.SNTF + i * 4)
    expect(reserved).to.include.members(Object.values(PX_ABSENT))
    const others = () => Object.values(PX).map(px)
    const before = others()
    for (const written of [0xffffffff, 0x1]) {
      for (const offset of reserved) set(offset, written)
      expect(reserved.map(px)).to.deep.equal(reserved.map(() => 0))
      expect(others()).to.deep.equal(before)
    }
    setHba(HBA.GHC, GHC.HR)
    expect(reserved.map(px)).to.deep.equal(reserved.map(() => 0))
  })

  it('identifies itself by PIO, with a valid checksum', () => {
    const { issue, px, words, buffer, fis, memory } = bench()
    issue({ command: ATA.IDENTIFY_DEVICE, regions: [[BUFFER, 512]] })
    expect(text(words(), 27, 46)).to.equal('NEPTUNE DISK')
    expect(text(words(), 10, 19)).to.equal('SERIAL-1')
    expect([words()[60], words()[100], words()[75], words()[76] & 0x100]).to.deep.equal([SECTORS, SECTORS, 31, 0x100])
    expect(words()[83] & 0xc400).to.equal(0x4400)
    expect(buffer(512).reduce((sum, byte) => sum + byte, 0) & 0xff).to.equal(0)
    expect([px(PX.CI), px(PX.IS), px(PX.TFD)]).to.deep.equal([0, IS.PSS, 0x50])
    expect([fis(0x20)[0], fis(0x20)[2], fis(0x20)[15]]).to.deep.equal([0x5f, 0x58, 0x50])
    expect(memory.getUint32(LIST + 4, true)).to.equal(512)
  })

  it('reads and writes by DMA over several descriptors, 28 and 48 bits', () => {
    const { issue, px, image, machine, memory, buffer, set } = bench()
    issue({
      command: ATA.READ_DMA,
      lba: 5,
      count: 2,
      regions: [
        [BUFFER, 256],
        [BUFFER + 4096, 700, true],
        [BUFFER + 8192, 512],
      ],
    })
    expect([px(PX.CI), px(PX.IS), px(PX.TFD)]).to.deep.equal([0, IS.DHRS | IS.DPS, 0x50])
    expect(memory.getUint32(LIST + 4, true)).to.equal(1024)
    expect([buffer(1)[0], machine.physical[BUFFER + 4096], machine.physical[BUFFER + 8192]]).to.deep.equal([5, 5, 6])
    expect(machine.physical[BUFFER + 8192 + 68]).to.equal(0)
    set(PX.IS, IS.DHRS)
    buffer(1024).fill(0xee)
    issue({ command: ATA.WRITE_DMA_EXT, slot: 3, lba: 4000, count: 2, regions: [[BUFFER, 1024]] })
    expect(px(PX.CI)).to.equal(0)
    expect([...image.content.subarray(4000 * 512 - 1, 4000 * 512 + 1)]).to.deep.equal([3999 & 0xff, 0xee])
    expect(image.content[4002 * 512]).to.equal(4002 & 0xff)
  })

  it('runs queued commands: slot and tag are freed, one message until the cause is cleared', () => {
    const { build, px, set, raises, fis, machine, setHba, hba } = bench()
    for (const slot of [0, 7, 31])
      build({
        command: ATA.READ_FPDMA_QUEUED,
        slot,
        lba: slot + 1,
        features: 1,
        count: slot << 3,
        regions: [[BUFFER + slot * 512, 512]],
      })
    const slots = (1 | (1 << 7) | (1 << 31)) >>> 0
    set(PX.SACT, slots)
    set(PX.CI, slots)
    expect([px(PX.CI), px(PX.SACT), px(PX.IS), px(PX.TFD)]).to.deep.equal([0, 0, IS.SDBS, 0x50])
    expect([0, 7, 31].map((slot) => machine.physical[BUFFER + slot * 512])).to.deep.equal([1, 8, 32])
    expect(raises()).to.equal(1)
    expect(fis(0x58, 8)).to.deep.equal([0xa1, 0x40, 0x50, 0, 0, 0, 0, 0x80])
    set(PX.IS, IS.SDBS)
    expect(hba(HBA.IS)).to.equal(1)
    setHba(HBA.IS, 1)
    expect(hba(HBA.IS)).to.equal(0)
    expect(raises()).to.equal(1)
  })

  it('sends another message when IS is cleared before its cause, and none without enables', () => {
    const { queue, set, setHba, hba, raises } = bench()
    const read = () => queue({ command: ATA.READ_FPDMA_QUEUED, slot: 1, sectors: 1, regions: [[BUFFER, 512]] })
    read()
    setHba(HBA.IS, 1)
    expect([hba(HBA.IS), raises()]).to.deep.equal([1, 2])
    set(PX.IS, IS.SDBS)
    setHba(HBA.IS, 1)
    setHba(HBA.GHC, 0)
    read()
    expect([hba(HBA.IS), raises()]).to.deep.equal([1, 2])
    setHba(HBA.GHC, GHC.IE)
    expect(raises()).to.equal(3)
  })

  it('refuses sectors that do not exist with IDNF and stops until ST is cleared', () => {
    const { issue, px, fis, raises, recover } = bench()
    issue({ command: ATA.READ_DMA_EXT, slot: 2, lba: SECTORS - 1, count: 2, regions: [[BUFFER, 1024]] })
    expect([px(PX.CI), px(PX.TFD), px(PX.IS)]).to.deep.equal([4, 0x1051, IS.TFES | IS.DHRS])
    expect((px(PX.CMD) >> 8) & 0x1f).to.equal(2)
    expect(fis(0x40)[4] | (fis(0x40)[5] << 8)).to.equal(SECTORS)
    issue({ command: ATA.READ_DMA_EXT, slot: 1, count: 1, regions: [[BUFFER, 512]] })
    expect(px(PX.CI)).to.equal(6)
    expect(raises()).to.equal(1)
    recover()
    expect(px(PX.CI)).to.equal(0)
    issue({ command: ATA.READ_DMA_EXT, slot: 1, count: 1, regions: [[BUFFER, 512]] })
    expect([px(PX.CI), px(PX.TFD)]).to.deep.equal([0, 0x50])
  })

  it('aborts what it does not know, CHS, and writes to a read-only image', () => {
    const { issue, px, recover, image, buffer } = bench()
    image.readOnly = true
    buffer(512).fill(0xff)
    const aborted = (command: number, options: Partial<CommandOptions> = {}) => {
      issue({ command, count: 1, regions: [[BUFFER, 512]], ...options })
      expect(px(PX.TFD)).to.equal(0x451)
      recover()
    }
    aborted(0x00)
    aborted(ATA.SMART)
    aborted(ATA.READ_DMA, { device: 0 })
    aborted(ATA.WRITE_DMA)
    aborted(ATA.SET_FEATURES, { features: 0x99 })
    aborted(ATA.SET_FEATURES, { features: 0x03, count: 0x47 })
    aborted(ATA.READ_LOG_EXT, { lba: 0x30 })
    expect(image.content[0]).to.equal(0)
  })

  it('reports a bad sector of a queued read, halts the queue, and logs the tag and the sector', () => {
    const { queue, issue, px, image, buffer, recover } = bench()
    image.bad.add(102)
    queue({ command: ATA.READ_FPDMA_QUEUED, slot: 9, lba: 100, sectors: 8, regions: [[BUFFER, 4096]] })
    expect([px(PX.CI), px(PX.SACT), px(PX.TFD), px(PX.IS)]).to.deep.equal([0, 1 << 9, 0x4051, IS.TFES | IS.SDBS])
    recover()
    expect(px(PX.SACT)).to.equal(0)
    issue({ command: ATA.READ_DMA, count: 1, regions: [[BUFFER, 512]] })
    expect(px(PX.TFD)).to.equal(0x451)
    recover()
    issue({ command: ATA.READ_LOG_EXT, lba: 0x10, count: 1, regions: [[BUFFER, 512]] })
    expect([buffer(5)[0], buffer(5)[2], buffer(5)[3], buffer(5)[4]]).to.deep.equal([9, 0x51, 0x40, 102])
    expect(buffer(512).reduce((sum, byte) => sum + byte, 0) & 0xff).to.equal(0)
    issue({ command: ATA.READ_DMA, count: 1, regions: [[BUFFER, 512]] })
    expect(px(PX.TFD)).to.equal(0x50)
    issue({ command: ATA.READ_VERIFY_EXT, lba: 90, count: 10 })
    expect(px(PX.TFD)).to.equal(0x50)
    issue({ command: ATA.READ_VERIFY_EXT, lba: 90, count: 20 })
    expect(px(PX.TFD)).to.equal(0x4051)
  })

  it('stops on memory it may not reach, touching nothing, until ST is cleared', () => {
    const { issue, px, recover } = bench({ allows: (address) => address < 0x300000 })
    issue({ command: ATA.READ_DMA, count: 1, regions: [[0x380000, 512]] })
    expect([px(PX.IS), px(PX.CI)]).to.deep.equal([IS.HBFS, 1])
    recover()
    issue({ command: ATA.READ_DMA, count: 1, regions: [[BUFFER, 512]] })
    expect([px(PX.IS), px(PX.CI)]).to.deep.equal([IS.DHRS, 0])
  })

  it('reports an overflow when descriptors hold less than the disk has', () => {
    const { issue, px, buffer } = bench()
    buffer(512).fill(0xaa)
    issue({ command: ATA.READ_DMA, count: 2, regions: [[BUFFER, 512]] })
    expect([px(PX.IS), px(PX.CI)]).to.deep.equal([IS.OFS, 1])
    expect(buffer(1)[0]).to.equal(0xaa)
  })

  it('starts no DMA before bus mastering, and then what waited', () => {
    const { chip, issue, px } = bench()
    chip.command(2)
    issue({ command: ATA.READ_DMA, count: 1, regions: [[BUFFER, 512]] })
    expect([px(PX.CI), px(PX.IS)]).to.deep.equal([1, 0])
    chip.command(6)
    expect([px(PX.CI), px(PX.IS)]).to.deep.equal([0, IS.DHRS])
  })

  it('ignores doorbells while ST is clear', () => {
    const { set, px } = bench()
    set(PX.CMD, CMD.FRE)
    set(PX.SACT, 1)
    set(PX.CI, 1)
    expect([px(PX.CI), px(PX.SACT), px(PX.CMD) & CMD.CR]).to.deep.equal([0, 0, 0])
  })

  it('resets the link by SCTL, the disk by SRST, itself by GHC.HR', () => {
    const { issue, set, px, setHba, hba, start } = bench()
    set(PX.CMD, CMD.FRE)
    set(PX.SCTL, 0x301)
    expect([px(PX.SSTS), px(PX.TFD), px(PX.SIG)]).to.deep.equal([0, 0x7f, 0xffffffff])
    set(PX.SCTL, 0x310)
    expect([px(PX.SSTS), px(PX.TFD)]).to.deep.equal([0x113, 0x80])
    set(PX.SERR, 0xffffffff)
    expect([px(PX.TFD), px(PX.SIG)]).to.deep.equal([0x150, 0x101])
    set(PX.SCTL, 0x304)
    expect(px(PX.SSTS)).to.equal(4)
    set(PX.SCTL, 0x300)
    start()
    issue({ command: 0, isCommand: false, control: 4 })
    expect([px(PX.TFD) & 0x80, px(PX.CI)]).to.deep.equal([0x80, 0])
    issue({ command: 0, isCommand: false, control: 0 })
    expect([px(PX.TFD), px(PX.CI)]).to.deep.equal([0x150, 0])
    setHba(HBA.GHC, GHC.HR | GHC.IE)
    expect([hba(HBA.GHC), px(PX.IE), px(PX.CMD), px(PX.CLB)]).to.deep.equal([0x80000000, 0, 6, LIST])
  })

  it('flushes on command, without a write cache after each write, and with FUA', () => {
    const { issue, queue, image, px, words } = bench()
    const write = () => issue({ command: ATA.WRITE_DMA, count: 1, regions: [[BUFFER, 512]] })
    write()
    expect(image.flushes).to.equal(0)
    issue({ command: ATA.FLUSH_CACHE_EXT })
    expect(image.flushes).to.equal(1)
    queue({ command: ATA.WRITE_FPDMA_QUEUED, slot: 1, sectors: 1, device: 0xc0, regions: [[BUFFER, 512]] })
    expect(image.flushes).to.equal(2)
    issue({ command: ATA.SET_FEATURES, features: 0x82 })
    write()
    expect(image.flushes).to.equal(4)
    issue({ command: ATA.SET_FEATURES, features: 0x03, count: 0x22 })
    issue({ command: ATA.IDENTIFY_DEVICE, regions: [[BUFFER, 512]] })
    expect([words()[85] & 0x20, words()[63], words()[88]]).to.deep.equal([0, 0x0407, 0x007f])
    for (const command of [ATA.STANDBY_IMMEDIATE, ATA.IDLE, ATA.CHECK_POWER_MODE]) {
      issue({ command })
      expect(px(PX.TFD)).to.equal(0x50)
    }
  })

  it('lets other work run after a bound of bytes', async () => {
    const { build, set, px, clock } = bench()
    for (let slot = 0; slot < 6; slot++)
      build({ command: ATA.READ_DMA_EXT, slot, count: 2048, regions: [[BUFFER, 1 << 20]] })
    set(PX.CI, 0x3f)
    expect(px(PX.CI)).to.equal(0x30)
    await clock.advance(0)
    expect(px(PX.CI)).to.equal(0)
  })

  it('reads a buffer of single pages through many descriptors', () => {
    const { issue, px, buffer } = bench()
    const regions = Array.from({ length: 256 }, (_, i) => [BUFFER + (255 - i) * 4096, 4096] as const)
    issue({ command: ATA.READ_DMA_EXT, count: 2048, regions })
    expect(px(PX.CI)).to.equal(0)
    expect([buffer(1 << 20)[0], buffer(1 << 20)[255 * 4096 + 512]]).to.deep.equal([(255 * 8) & 0xff, 1])
  })

  it('publishes every register that changed, causes last, and all again after a reset', () => {
    const { chip, queue, machine, px, hba } = bench()
    queue({ command: ATA.READ_FPDMA_QUEUED, slot: 4, sectors: 1, regions: [[BUFFER, 512]] })
    const allPublished = () => {
      for (const offset of [...Object.values(PX), ...Object.values(PX_ABSENT)])
        expect(machine.published.get(`0:${HBA.PORTS + offset}`)).to.equal(px(offset))
      for (const offset of [HBA.CAP, HBA.GHC, HBA.IS, HBA.PI, HBA.VS])
        expect(machine.published.get(`0:${offset}`)).to.equal(hba(offset))
    }
    allPublished()
    machine.published.clear()
    machine.quieted.clear()
    chip.reset()
    allPublished()
    expect([...machine.quieted]).to.have.members([`0:${HBA.IS}`, `0:${HBA.PORTS + PX.IS}`])
  })

  it('opens its image, answers its cable, and ends with a sentence about a bad image', async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ahci-'))
    const file = path.join(directory, 'disk.img')
    fs.writeFileSync(file, new Uint8Array(1 << 20))
    const config = { image: file, mode: 'snapshot', cable: 'pci' }
    const env = fakeEnvironment({ name: 'ahci0', caps: { pci: 2 }, config, machine: {} })
    void main(env)
    expect(await env.deliver(2, PciFunction, 'command', { command: 6 })).to.deep.equal({})
    expect(env.machine?.chip?.mmioRead?.(0, HBA.PORTS + PX.SSTS)).to.equal(0x133)
    await env.machine?.chip?.powerOff?.()
    fs.truncateSync(file, 1000)
    const bad = fakeEnvironment({ name: 'ahci0', config, machine: {} })
    await main(bad).catch(() => {})
    expect(bad.ended?.code).to.equal(78)
    expect(bad.ended?.message).to.match(/1000 bytes, not a multiple of 512/)
    fs.rmSync(directory, { recursive: true })
  })
})
