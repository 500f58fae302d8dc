/**
 * docker-compose.yml from launch.json: one container per process.
 *
 *   composeFile(manifest)   the file's text; the committed copy must equal it
 *
 * Every container is unprivileged: a user of its own, a read-only file system, no capability of the host's, no network.
 * What joins them is one volume in memory, the run directory, where the kernel's sockets and the banks are. Who may open
 * what there is by group and by names nobody can list (tools/launcher/launch.ts). In each container an agent waits for the
 * kernel to tell it which image to start; one container more holds launcher and kernel.
 *
 * No container depends on another: all start at once, and at `docker compose stop` the kernel hears of it as early as they.
 */
import type { Container } from '../../kernel/agent-spawner.ts'
import type { Manifest } from '../launcher/options.ts'
import { containersOf, GROUP } from './containers.ts'

const RUN = '/run/neptune'
const IMAGES = '/neptune/dist/images'
/** Banks, sockets and logs; the size is a limit, not an allocation. */
const RUN_SIZE = '2g'
/** The file systems' last writes, then every process's end: two seconds on a quiet machine. */
const GRACE = '20s'

export function composeFile(manifest: Manifest): string {
  return [
    '# Written by `npm run docs` from launch.json; do not edit. How to use it: docs/guides/containers.md',
    'name: neptune',
    '',
    'x-process: &process',
    ...indent(2, PROCESS),
    '',
    'services:',
    ...indent(2, kernelService()),
    ...containersOf(manifest).flatMap((container) => indent(2, agentService(manifest, container))),
    '',
    'volumes:',
    ...indent(2, VOLUMES),
    '',
  ].join('\n')
}
/** As compose reads it: the value of an environment variable, or what to take when it is not set. */
const variable = (name: string, otherwise: string | number) => `\${${name}:-${otherwise}}`
const indent = (by: number, lines: readonly string[]) => lines.map((line) => (line === '' ? '' : ' '.repeat(by) + line))

const RUN_VOLUME = `run:${RUN}`
/** A volume of that name, or a folder of the host's when NEPTUNE_DISK_FOLDER is a path. */
const DISK_VOLUME = `${variable('NEPTUNE_DISK_FOLDER', 'disk')}:/disk`
/** Who may write a disk image of the host's: its file's group. */
const DISK_GROUP = variable('NEPTUNE_DISK_GROUP', GROUP)

const PROCESS = [
  'image: neptune-os',
  'pull_policy: never',
  'init: true',
  'read_only: true',
  'cap_drop: [ALL]',
  'security_opt: ["no-new-privileges:true"]',
  'network_mode: none',
  // A killed container comes back; one whose kernel has gone ends with 0 and stays away.
  'restart: on-failure',
  'attach: false',
  `stop_grace_period: ${GRACE}`,
  `volumes: ["${RUN_VOLUME}"]`,
]
/** The one service that is built; the others use its image, so that one build serves all. */
function kernelService(): string[] {
  const disk = `ahci:/disk/${variable('NEPTUNE_DISK', 'neptune-disk.img')}`
  return [
    'kernel:',
    '  <<: *process',
    '  build: .',
    '  pull_policy: build',
    '  attach: true',
    '  restart: "no"',
    `  user: "${GROUP}:${GROUP}"`,
    `  group_add: ["${DISK_GROUP}"]`,
    `  command: ["node", "${IMAGES}/cli.js", "boot", "--agents", "--run", "${RUN}", "--disk", "${disk}"]`,
    `  volumes: ["${RUN_VOLUME}", "${DISK_VOLUME}"]`,
  ]
}
function agentService(manifest: Manifest, { name, user }: Container): string[] {
  const lines = [
    `${name}:`,
    '  <<: *process',
    `  user: "${user}:${GROUP}"`,
    `  command: ["node", "${IMAGES}/agent.js", "${RUN}", "${name}"]`,
  ]
  if (name === 'panel') lines.push('  stdin_open: true', `  tty: ${variable('NEPTUNE_TTY', 'true')}`)
  if (manifest.devices?.[name]?.image === 'ahci')
    lines.push(`  group_add: ["${DISK_GROUP}"]`, `  volumes: ["${RUN_VOLUME}", "${DISK_VOLUME}"]`)
  return lines
}
/** The run directory is a tmpfs, so that banks are memory and nothing survives the last container. */
const VOLUMES = [
  'run:',
  '  driver: local',
  `  driver_opts: { type: tmpfs, device: tmpfs, o: "size=${RUN_SIZE},uid=${GROUP},gid=${GROUP},mode=0710" }`,
  'disk: {}',
]
