/** The system services a driver process may call, beside the driver services. */
import type { Client } from '#contracts/interface'
import type { SystemServices } from '#contracts/nt'

export type IoServicesForDrivers = Client<typeof SystemServices>
