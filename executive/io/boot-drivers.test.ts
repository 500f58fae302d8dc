/** Boot drivers load in the manifest's order, one more at a time than there are processors. */
import { expect } from 'chai'
import { NT_STATUS } from '#rtl'
import { type Behaviour, World } from './io-support.ts'

const NAMES = ['pnp', 'pci', 'storahci', 'disk', 'partmgr']

/** Each driver's entry waits until the test lets it go; `late` is no boot driver. */
function world(over: Record<string, Behaviour> = {}) {
  const gates = new Map<string, () => void>()
  const waiting = (name: string): Behaviour => ({ entry: () => new Promise((go) => gates.set(name, go)) })
  const behaviours = Object.fromEntries(['late', ...NAMES].map((name) => [name, over[name] ?? waiting(name)]))
  const images = Object.fromEntries(NAMES.map((name) => [name, { nt: { kind: 'driver', start: 'boot' } }]))
  const made: World = new World(behaviours, { images } as never)
  const begun = () => made.lives.map(({ process }) => process.image)
  const letGo = async (name: string) => {
    gates.get(name)?.()
    await made.settle()
  }
  return { made, begun, letGo }
}

describe('boot drivers', () => {
  it('load two at a time on one processor, in their order', async () => {
    const { made, begun, letGo } = world()
    made.io.loadBootDrivers()
    await made.settle()
    expect(made.env.root?.numNodes).to.equal(1)
    expect(begun()).to.deep.equal(NAMES.slice(0, 2))
    await letGo('pci')
    expect(begun()).to.deep.equal(NAMES.slice(0, 3))
    await letGo('pnp')
    await letGo('storahci')
    expect(begun()).to.deep.equal(NAMES)
  })
  it('one that is needed earlier is loaded then, and once', async () => {
    const { made, begun, letGo } = world()
    made.io.loadBootDrivers()
    void made.io.loadDriver('partmgr')
    await made.settle()
    expect(begun().sort()).to.deep.equal(['partmgr', 'pci', 'pnp'])
    for (const name of ['partmgr', 'pnp', 'pci', 'storahci', 'disk']) await letGo(name)
    expect(begun()).to.have.members(NAMES)
  })
  it('go on behind one that fails', async () => {
    const { made, begun, letGo } = world({
      pnp: {
        entry: async (driver) => {
          void driver.services.WdmDriverEntryFailed({ Status: NT_STATUS.STATUS_NO_SUCH_DEVICE }, driver.caller)
          await driver.world.kill('pnp')
        },
      },
    })
    made.io.loadBootDrivers()
    await made.settle()
    expect(begun()).to.deep.equal(NAMES.slice(0, 3))
    await letGo('pci')
    expect(begun()).to.deep.equal(NAMES.slice(0, 4))
  })
})
