/** Ceilings: what the kernel refuses whatever it is asked. */
import { expect } from 'chai'
import { load, loadReal } from './support.ts'
import { type Capability, type Ceilings, deriveCeilings, mayHold } from '../../kernel/manifest/derive.ts'
import { viewOf } from '../../kernel/manifest/load.ts'

describe('mayHold', () => {
  const ceilings: Ceilings = deriveCeilings(loadReal())
  const port = (first: number, last = first): Capability => ({ kind: 'ioPort', first, last })
  const frame = (base: number, length: number): Capability => ({ kind: 'deviceFrame', base, length })

  it('lets a driver hold what its driver.json names, and nothing beside it', () => {
    expect(mayHold(ceilings, 'i8042prt', port(0x60))).to.equal(true)
    expect(mayHold(ceilings, 'i8042prt', port(0x60, 0x64))).to.equal(false)
    expect(mayHold(ceilings, 'i8042prt', port(0x61))).to.equal(false)
    expect(mayHold(ceilings, 'i8042prt', { kind: 'irqHandler', irq: 1 })).to.equal(true)
    expect(mayHold(ceilings, 'i8042prt', { kind: 'irqHandler', irq: 8 })).to.equal(false)
    expect(mayHold(ceilings, 'pci', port(0xcfc, 0xcff))).to.equal(true)
  })

  it('lets "assigned" reach only devices that nobody has a claim on', () => {
    const [irq] = loadReal().devices.find(({ name }) => name === 'ahci0')?.irqs ?? []
    expect(mayHold(ceilings, 'storahci', frame(0xfebf1000, 0x1000))).to.equal(true)
    expect(mayHold(ceilings, 'storahci', frame(0xfebf1000, 0x1001))).to.equal(false)
    expect(mayHold(ceilings, 'storahci', frame(0xfebf0fff, 2))).to.equal(false)
    expect(mayHold(ceilings, 'storahci', { kind: 'irqHandler', irq: irq.irq })).to.equal(true)
    for (const other of [1, 8, 12])
      expect(mayHold(ceilings, 'storahci', { kind: 'irqHandler', irq: other })).to.equal(false)
    expect(mayHold(ceilings, 'storahci', port(0x60))).to.equal(false)
  })

  it('bounds an arena and its bank', () => {
    const memory = (bank: string, bytes: number): Capability => ({ kind: 'memory', bank, bytes })
    expect(mayHold(ceilings, 'ntcmd', memory('clients', 4 * 1024 * 1024))).to.equal(true)
    expect(mayHold(ceilings, 'ntcmd', memory('clients', 4 * 1024 * 1024 + 1))).to.equal(false)
    expect(mayHold(ceilings, 'ntcmd', memory('cache', 4096))).to.equal(false)
    expect(mayHold(ceilings, 'executive', memory('cache', 96 * 1024 * 1024))).to.equal(true)
  })

  it('keeps the keyboard cable to the panel and IOMMU tables to the root task', () => {
    const keyboard: Capability = { kind: 'endpoint', name: 'keyboard', rights: ['write'] }
    const holders = [...ceilings.keys()].filter((process) => mayHold(ceilings, process, keyboard))
    expect(holders).to.deep.equal(['panel'])
    const dma: Capability = { kind: 'dma', device: 'ahci0' }
    expect([...ceilings.keys()].filter((process) => mayHold(ceilings, process, dma))).to.deep.equal(['executive'])
  })

  it('lets images call the root task, never answer in its place', () => {
    const executive = (...rights: ('read' | 'write' | 'grantReply' | 'grant')[]): Capability => ({
      kind: 'endpoint',
      name: 'executive',
      rights,
    })
    expect(mayHold(ceilings, 'fatfs', executive('write', 'grantReply'))).to.equal(true)
    expect(mayHold(ceilings, 'fatfs', executive('read'))).to.equal(false)
    expect(mayHold(ceilings, 'fatfs', executive('write', 'grant'))).to.equal(false)
    expect(mayHold(ceilings, 'ahci0', executive('write'))).to.equal(false)
    const mute = deriveCeilings(load({ 'services/shell/service.json': { needs: { interfaces: [] } } }))
    expect(mayHold(mute, 'shell', executive('write'))).to.equal(false)
  })

  it('refuses numbers that are no range, and processes that are not there', () => {
    for (const [first, last] of [
      [0x64, 0x60],
      [Number.NaN, 0x60],
      [0x60, Number.NaN],
      [0x60 + 0.5, 0x60],
      [-1, 0x60],
      [0x60, Number.POSITIVE_INFINITY],
    ])
      expect(mayHold(ceilings, 'i8042prt', port(first, last)), `${first}-${last}`).to.equal(false)
    for (const length of [0, -1, Number.NaN, 2 ** 60])
      expect(mayHold(ceilings, 'storahci', frame(0xfebf1000, length))).to.equal(false)
    expect(mayHold(ceilings, 'nobody', { kind: 'notification' })).to.equal(false)
    expect(mayHold(ceilings, 'fatfs', { kind: 'notification' })).to.equal(true)
  })
})

describe('viewOf', () => {
  it('shows the root task images, their NT sections and the devices', () => {
    const { images, devices } = viewOf(
      load({ 'launch.json': { images: { kbd: { nt: { restart: { max: 1, perMs: 5 } } } } } }),
    )
    expect(images.kbd).to.deep.equal({
      nt: { hardwareIds: ['*PNP0303'], kind: 'driver', restart: { max: 1, perMs: 5 } },
      arena: 0,
    })
    expect(images.shell).to.deep.equal({ arena: 2 * 1024 * 1024 })
    expect(devices.keyboard).to.deep.equal({
      device: 'keyboard',
      ports: [
        { first: 0x60, last: 0x60 },
        { first: 0x64, last: 0x64 },
      ],
      irqs: [1],
      mmio: [],
    })
  })
})
