/** The shortest life: born, heard of, gone. `neptune bench spawn` times how long the first two take. */
import type { Main } from '#sel4/api'

const LABEL = 0

export const main: Main = async ({ sel4, caps, exit }) => {
  await sel4.call(caps.spawner, LABEL, null)
  exit(0)
}
