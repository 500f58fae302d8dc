import { expect } from 'chai'
import { IRP_MJ, WdmServices } from '#contracts/wdm'
import type { Main } from '#sel4/api'
import { fakeEnvironment } from '#sel4/fake'
import { type DRIVER_INITIALIZE, driverMain } from '#wdm'
import { DriverEntry as pnp } from '../../drivers/base/pnp/index.ts'
import { World } from './io-support.ts'

/** A real driver image over the real handlers, with the contracts' checks between. */
function real(entry: DRIVER_INITIALIZE) {
  const main: Main = driverMain(entry)
  return {
    main(world: World, badge: number, birth: 'fresh' | 'restart', name: string) {
      const env = fakeEnvironment({ name, birth, caps: { executive: 1 }, arenaBytes: 1 << 20 })
      const handlers = Object.fromEntries(
        Object.entries(world.handlers).map(([key, handler]) => [
          key,
          (args: never) => (handler as (a: never, c: { badge: number }) => unknown)(args, { badge }),
        ]),
      )
      env.provide(1, WdmServices, handlers as never)
      void main(env).catch((error) => world.env.lines.push({ level: 'error', message: `${name}: ${error}` }))
    },
  }
}

describe('Io with real drivers', () => {
  const image = (nt: object) => ({ nt: { kind: 'driver', ...nt } })
  it('walks the root enumerator and survives its death', async () => {
    const world = new World({ pnp: real(pnp) } as never, {
      images: { pnp: image({ hardwareIds: ['HTREE\\ROOT\\0'] }) },
    })
    await world.io.pnp.enumerate('')
    const before = world.io.pnp.nodes().map((node) => node.instancePath)
    expect(before).to.include('Root\\PNP0303\\0')
    await world.kill('pnp')
    await world.settle(30)
    expect(world.env.lines.filter(({ level }) => level === 'error')).to.deep.equal([])
    expect(world.io.drivers()[0].state).to.equal('loaded')
    expect(world.io.pnp.nodes().map((node) => node.instancePath)).to.deep.equal(before)
    expect(
      (
        await world.io.irps.submit({
          device: world.device('\\Device\\pnp'),
          major: IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
          parameters: { kind: 'None' },
          requestor: 'system',
        })
      ).Status,
    ).to.be.a('number')
  })
})
