/** Who may call whom among the processes of the machine. */
import { type Manifest, PANEL } from '../manifest.ts'
import { type Rule, names } from './rule.ts'

/** Who stands above every device: the panel, where a person is, the root task, and what it starts. */
const isAbove = ({ panel, root, images }: Manifest, process: string): boolean =>
  (panel !== undefined && process === PANEL) || process === root.image || images.some(({ name }) => name === process)

/** Calls go down: who may be waited for by others never waits for them. Devices among each other: cablesHaveNoCycle. */
const callsGoDown: Rule = (manifest) =>
  manifest.cables
    .filter(({ server }) => isAbove(manifest, server))
    .map(
      ({ name, server, clients }) =>
        `${manifest.file}: cables.${name} has ${clients.join(', ')} call ${server}, but calls go down to the devices, never up: a device that waits for ${server} keeps whoever uses the device waiting; make a device the server`,
    )

const cableServerExists: Rule = (manifest) =>
  manifest.cables
    .filter(({ server }) => !manifest.devices.some(({ name }) => name === server) && !isAbove(manifest, server))
    .map(
      ({ name, server }) =>
        `${manifest.file}: cables.${name}.server is ${server}, but devices has ${names(manifest.devices)}; correct it or add the device`,
    )

const cableClientsExist: Rule = ({ file, cables, devices, panel }) => {
  const known = [...devices, ...(panel ? [{ name: PANEL }] : [])]
  return cables.flatMap(({ name, clients }) =>
    clients
      .filter((client) => !known.some((each) => each.name === client))
      .map(
        (client) =>
          `${file}: cables.${name}.clients has ${client}, but the machine side has ${names(known)}; correct it or remove it`,
      ),
  )
}

const cablesHaveNoCycle: Rule = ({ file, cables }) =>
  cables.flatMap(({ name, server, clients }, index) => {
    if (clients.includes(server))
      return [
        `${file}: cables.${name}.clients has ${server}, which is also its server: it would wait for itself; remove it`,
      ]
    const way = wayFrom(server, new Set(clients), cables.slice(0, index + 1))
    if (!way) return []
    return [
      `${file}: cables.${name} closes the circle ${[way.at(-1), ...way].join(' → ')}: each would wait for the next; remove one of these cables`,
    ]
  })

/** Who calls whom, from `start` to one of `goals`: the processes on the way; undefined when there is none. */
function wayFrom(start: string, goals: ReadonlySet<string>, cables: Manifest['cables']): string[] | undefined {
  const ways = [[start]]
  const seen = new Set([start])
  for (const way of ways) {
    const last = way[way.length - 1]
    if (goals.has(last)) return way
    for (const { server } of cables.filter(({ clients }) => clients.includes(last)))
      if (!seen.has(server)) {
        seen.add(server)
        ways.push([...way, server])
      }
  }
  return undefined
}

export const CABLES: readonly Rule[] = [callsGoDown, cableServerExists, cableClientsExist, cablesHaveNoCycle]
