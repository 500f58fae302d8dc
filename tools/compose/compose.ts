/**
 * docker-compose.yml from launch.json: one container per process.
 *
 *   composeFile(manifest)   the file's text; the committed copy must equal it
 *
 * Every container is unprivileged: a user of its own, a read-only file system, no capability of the host's, no network.
 * What joins them is one volume in memory, the run directory, where the kernel's sockets and the banks are. Who may open
 * what there is by group: every container's user is in the group `neptune`, and the directory is closed to others.
 * In each container an agent waits for the kernel to tell it which image to start; one container more holds the kernel.
 *
 * Processes that the manifest does not name by itself (programs started at the prompt) take one of the spare containers.
 */
import type { Manifest } from '../launcher/options.ts'

/** The group that may enter the run directory, and the first of the users, one per container. */
export const GROUP = 10_000
const FIRST_USER = 10_001
/** Programs that run at the same time besides those the manifest names. */
const SPARES = 2
const RUN = '/run/neptune'
/** Banks, sockets and logs; the size is a limit, not an allocation. */
const RUN_SIZE = '2g'

interface Container {
  readonly name: string
  readonly user: number
}
export function processNames(manifest: Manifest): string[] {
  const root = (manifest.root as { image?: string } | undefined)?.image ?? 'executive'
  const spares = Array.from({ length: SPARES }, (_, i) => `spare-${i + 1}`)
  const named = [
    ...Object.keys(manifest.devices ?? {}),
    ...(manifest.panel ? ['panel'] : []),
    root,
    ...Object.keys((manifest.images as object) ?? {}),
  ]
  return [...new Set(named), ...spares]
}

export function composeFile(manifest: Manifest): string {
  const containers = processNames(manifest).map((name, i) => ({ name, user: FIRST_USER + i }))
  return [
    '# Written by `npm run docs` from launch.json; do not edit.',
    'name: neptune',
    '',
    'x-process: &process',
    ...indent(2, PROCESS),
    '',
    'services:',
    ...indent(2, kernelService()),
    ...containers.flatMap((container) => indent(2, agentService(container))),
    '',
    'volumes:',
    ...indent(2, runVolume()),
    '',
  ].join('\n')
}
const indent = (by: number, lines: readonly string[]) => lines.map((line) => (line === '' ? '' : ' '.repeat(by) + line))

const PROCESS = [
  'image: neptune-os',
  'pull_policy: never',
  'init: true',
  'read_only: true',
  'cap_drop: [ALL]',
  'security_opt: ["no-new-privileges:true"]',
  'network_mode: none',
  'restart: "no"',
  `volumes: ["run:${RUN}"]`,
  'depends_on: { kernel: { condition: service_started } }',
]
/** The one service that is built; the others use its image, so that one build serves all. */
function kernelService(): string[] {
  return [
    'kernel:',
    '  <<: *process',
    '  build: .',
    '  pull_policy: build',
    '  depends_on: {}',
    `  user: "${GROUP}:${GROUP}"`,
    `  command: ["node", "dist/images/cli.js", "boot", "--run", "${RUN}", "--agents", "--disk", "ahci:/disk/\${NEPTUNE_DISK:-disk.img}"]`,
    `  volumes: ["run:${RUN}", "\${NEPTUNE_DISK_FOLDER:-./disk}:/disk"]`,
  ]
}
function agentService({ name, user }: Container): string[] {
  const lines = [
    `${name}:`,
    '  <<: *process',
    `  user: "${user}:${GROUP}"`,
    `  command: ["node", "dist/images/agent.js", "${RUN}", "${name}"]`,
  ]
  if (name === 'panel') lines.push('  stdin_open: true', '  tty: ${NEPTUNE_TTY:-true}')
  if (name.startsWith('ahci')) lines.push(`  volumes: ["run:${RUN}", "\${NEPTUNE_DISK_FOLDER:-./disk}:/disk"]`)
  return lines
}
/** tmpfs, so that banks are memory and nothing survives the last container. */
function runVolume(): string[] {
  return [
    'run:',
    '  driver: local',
    `  driver_opts: { type: tmpfs, device: tmpfs, o: "size=${RUN_SIZE},uid=${GROUP},gid=${GROUP},mode=0770" }`,
  ]
}
