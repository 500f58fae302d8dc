/** System services of the IO manager; those on files are in the files named after what they do. */
import type { Executive, Services } from '../executive.ts'
import { controlServices } from './control-services.ts'
import { informationServices } from './information-services.ts'
import { openServices } from './open-services.ts'
import { transferServices } from './transfer-services.ts'

export function ioServices(ex: Executive) {
  return {
    ...openServices(ex),
    ...transferServices(ex),
    ...informationServices(ex),
    ...controlServices(ex),
    async NtLoadDriver({ DriverServiceName }) {
      await ex.io.loadDriver(DriverServiceName)
      return {}
    },
    NtPlugPlayControl: async ({ Control }) => ({ Result: await ex.io.pnp.control(Control) }),
  } satisfies Partial<Services>
}
