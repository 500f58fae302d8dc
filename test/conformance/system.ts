/** The small system the cases run in: a root task that tests, a helper with an address space of its own, a chip. */
import type { Main } from '../../lib/sel4/api.ts'

export const LAUNCH = {
  machine: 'pc',
  banks: { test: { bytes: '32 MiB' } },
  devices: {
    chip: { image: 'chip' },
    // Its level line is the first one's, too.
    second: {
      image: 'chip',
      device: { ports: ['0x310'], irqs: [5, 7, 25], mmio: ['0xfebf2000'] },
    },
  },
  cables: {},
  root: { image: 'tester', banks: ['test'] },
  images: { helper: { image: 'helper' } },
}
export const CHIP = {
  ports: [{ first: '0x300', last: '0x307' }],
  irqs: [
    { irq: 5, trigger: 'level', shared: true },
    { irq: 6, trigger: 'edge' },
    { irq: 24, trigger: 'msi' },
  ],
  mmio: [{ base: '0xfebf1000', length: 4096 }],
  memory: [],
  dma: true,
}
export const HELPER = { needs: { interfaces: ['ExecutiveServices'] } }
/** An even port raises the line whose number is written, an odd one lowers it; a read shows the port's low byte. */
export const chip: Main = async ({ machine }) => {
  machine?.attach({
    reset() {},
    portIn: (port) => port & 0xff,
    portOut(port, _width, line) {
      if (port % 2 === 0) machine.irq(line).raise()
      else machine.irq(line).lower()
    },
  })
}
