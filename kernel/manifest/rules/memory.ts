/** Banks, and the arenas that come from them. */
import { EXTENT } from '../manifest.ts'
import { sizeText } from '../units.ts'
import { type Rule, names } from './rule.ts'

/** The IOMMU tables and the physical map end here. */
const PHYSICAL_LIMIT = 1024 * 1024 * 1024

const bankIsWhole: Rule = ({ file, banks }) =>
  banks
    .filter(({ bytes }) => bytes === 0 || bytes % EXTENT !== 0)
    .map(
      ({ name, bytes }) =>
        `${file}: banks.${name}.bytes is ${sizeText(bytes)}, but a bank is a multiple of 2 MiB; round it up`,
    )

const banksFit: Rule = ({ file, banks }) => {
  const end = Math.max(0, ...banks.map(({ physicalAddress, bytes }) => physicalAddress + bytes))
  if (end <= PHYSICAL_LIMIT) return []
  const sum = sizeText(end - banks[0].physicalAddress)
  const room = sizeText(PHYSICAL_LIMIT - banks[0].physicalAddress)
  return [
    `${file}: banks are ${sum} together, but only ${room} fit below 1 GiB of physical memory; make some of them smaller`,
  ]
}

const rootBanksExist: Rule = ({ file, banks, root }) =>
  root.banks
    .filter((bank) => !banks.some(({ name }) => name === bank))
    .map(
      (bank) => `${file}: root.banks names the bank ${bank}, but banks has ${names(banks)}; correct it or add the bank`,
    )

const arenaIsWhole: Rule = ({ file, images }) =>
  images
    .filter(({ arena }) => arena % EXTENT !== 0)
    .map(
      ({ name, arena }) =>
        `${file}: images.${name}.arena is ${sizeText(arena)}, but an arena is a multiple of 2 MiB; round it up`,
    )

const arenaHasBank: Rule = ({ file, images }) => [
  ...images
    .filter(({ arena, bank }) => arena > 0 && bank === undefined)
    .map(
      ({ name, arena }) =>
        `${file}: images.${name} has an arena of ${sizeText(arena)}, but no bank; say which bank it comes from`,
    ),
  ...images
    .filter(({ arena, bank }) => arena === 0 && bank !== undefined)
    .map(
      ({ name, bank }) =>
        `${file}: images.${name} has the bank ${bank}, but no arena; give an arena's size or remove the bank`,
    ),
]

const bankExists: Rule = ({ file, banks, images }) =>
  images
    .filter(({ bank }) => bank !== undefined && !banks.some(({ name }) => name === bank))
    .map(
      ({ name, bank }) =>
        `${file}: images.${name}.bank is ${bank}, but banks has ${names(banks)}; correct it or add the bank`,
    )

const bankIsRoots: Rule = ({ file, banks, images, root }) =>
  images
    .filter(({ bank }) => bank !== undefined && banks.some(({ name }) => name === bank) && !root.banks.includes(bank))
    .map(
      ({ name, bank }) =>
        `${file}: images.${name}.bank is ${bank}, but root.banks has ${root.banks.join(', ') || 'none'}: the root task could not give it; add ${bank} there`,
    )

const arenasFit: Rule = ({ file, banks, images }) =>
  banks.flatMap(({ name, bytes }) => {
    const sum = images.reduce((total, { bank, arena }) => (bank === name ? total + arena : total), 0)
    if (sum <= bytes) return []
    return [
      `${file}: the arenas in the bank ${name} are ${sizeText(sum)} together, but banks.${name}.bytes is ${sizeText(bytes)}; make the bank larger`,
    ]
  })

export const MEMORY: readonly Rule[] = [
  bankIsWhole,
  banksFit,
  rootBanksExist,
  arenaIsWhole,
  arenaHasBank,
  bankExists,
  bankIsRoots,
  arenasFit,
]
