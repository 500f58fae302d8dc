/** That what is named exists, and that no two processes have one name. */
import { PANEL } from '../manifest.ts'
import { pairs, type Rule } from './rule.ts'

export const imageExists: Rule = ({ file, missing }) =>
  missing.map(
    ({ key, image, file: description }) =>
      `${file}: ${key} names the image ${image}, but no ${description} of it is beside a source or in dist/images; correct the name or build the image`,
  )

const nameIsFree: Rule = (manifest) => {
  const { file, devices, images, panel, root } = manifest
  const all = [
    ...['kernel', 'launcher'].map((name) => ({ name, key: "the system's own process" })),
    { name: root.image, key: 'root' },
    ...(panel ? [{ name: PANEL, key: 'panel' }] : []),
    ...devices.map(({ name }) => ({ name, key: `devices.${name}` })),
    ...images.map(({ name }) => ({ name, key: `images.${name}` })),
  ]
  return pairs(all)
    .filter(([one, two]) => one.name === two.name)
    .map(
      ([one, two]) =>
        `${file}: ${two.key} takes the process name ${two.name}, which is ${one.key}'s; rename one of them`,
    )
}

export const NAMES: readonly Rule[] = [imageExists, nameIsFree]
