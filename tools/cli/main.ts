/**
 * The `neptune` command: one program, a subcommand per thing a person wants of a system.
 *
 * boot and run start one (this process is then its launcher); ps, caps, kill, trace, interpose and check talk to a running
 * one through its run directory. A mistake of the user's is one sentence on stderr and exit code 2.
 */
import { Command, CommanderError } from 'commander'
import { errorCode, UserError } from '../user-error.ts'
import { type BootOptions, boot } from './boot.ts'
import { type InterposeOptions, interpose } from './interpose.ts'
import type { RunOption } from './running.ts'
import { caps, check, compose, kill, ps, trace } from './talk.ts'

const say = (sentence: string) => process.stderr.write(`neptune: ${sentence}\n`)

function program(finish: (code: number) => void): Command {
  const neptune = new Command('neptune')
    .description(
      'Runs Neptune OS: an NT Executive on a capability kernel, every driver and device a process you can kill.',
    )
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: (text) => process.stdout.write(text) })
    .showHelpAfterError(false)
    .addHelpText('after', EXAMPLES)
  addBootCommands(neptune, finish)
  addTalkCommands(neptune, finish)
  addTools(neptune, finish)
  return neptune
}
const EXAMPLES = `
Examples:
  npx neptune boot                              start; the prompt appears in this terminal
  npx neptune boot --disk ahci:disk.img:snapshot   the disk's file is not changed
  echo dir | npx neptune boot                   type lines, print the screen, shut down
  npx neptune kill storahci                     in another terminal: kill the disk driver and watch
  npx neptune ps                                who is running

A disk is CONTROLLER:IMAGE, then :ro (read only) or :snapshot (changes are forgotten). The machine's controller is ahci.
Without --disk, boot uses ./neptune-disk.img and makes it when it is not there; what you change on it stays.
At the prompt, shutdown or Ctrl-C stops the system in order; a second Ctrl-C ends it at once.`

function addBootCommands(neptune: Command, finish: (code: number) => void): void {
  const withBootOptions = (command: Command) =>
    command
      .option('--disk <disk>', 'ahci:IMAGE, ahci:IMAGE:ro or ahci:IMAGE:snapshot', once('--disk'))
      .option('--slowpath', 'send every message through the kernel')
      .option('--run <directory>', 'keep all state of this run in a directory of your choice')
      .option('--manifest <file>', "another launch.json than the repository's")
  withBootOptions(neptune.command('boot'))
    .description('start a system; when stdin is no terminal, type its lines and print the screen')
    .option('--agents', 'start each process in the container that waits for it; docker-compose.yml does that')
    .action(async (options: BootOptions) => finish(await boot(options, say)))
  withBootOptions(neptune.command('run'))
    .requiredOption('--script <file>', 'lines to type at the prompt, one command each')
    .description('start a system, type the lines of a file at its prompt, print the screen, shut down')
    .action(async (options: BootOptions) => finish(await boot(options, say)))
}
/** One controller has one port: a second disk would silently take the first one's place. */
const once = (flag: string) => (value: string, before: string | undefined) => {
  if (before !== undefined) throw new UserError(`${flag} may be given once: the machine has one disk`)
  return value
}

function addTalkCommands(neptune: Command, finish: (code: number) => void): void {
  const withRun = (command: Command) =>
    command.option('--run <directory>', 'the run directory of the system meant; without it, the one started last')
  withRun(neptune.command('ps'))
    .description('list the processes of a running system')
    .option('--json', 'as a JSON array of { name, pid, generation, state, cpuMs, rssKb }')
    .action(ps)
  withRun(neptune.command('caps [process]'))
    .description('show who may do what: the capabilities of one process, or of all')
    .action(caps)
  withRun(neptune.command('kill <name> [signal]'))
    .description('send a signal, by name or number, to a process of a running system (SIGKILL when none is named)')
    .action(kill)
  withRun(neptune.command('trace'))
    .description('record what passes between the processes, as a file for ui.perfetto.dev')
    .option('--out <file>', 'where to write it', 'trace.json')
    .option('--ms <milliseconds>', 'for how long', '1000')
    .action(trace)
  withRun(neptune.command('interpose [endpoint] [action]'))
    .description(
      'trace, delay, drop, corrupt, duplicate or reorder messages to an endpoint (PROCESS.CAPABILITY, as caps shows them); ' +
        'without arguments show what is in force',
    )
    .option('--rate <share>', 'how many of the messages, from 0 to 1', '1')
    .option('--ms <milliseconds>', 'how long delay holds a message', '20')
    .option('--direction <which>', 'request, reply or both', 'request')
    .option('--seed <number>', 'draws the same messages again; without it one is drawn and shown')
    .option('--messages', 'show the last messages that passed')
    .option('--off [number]', 'end that interposition, or all')
    .action(interpose)
  withRun(neptune.command('check'))
    .description(
      "judge the running kernel's invariants: one line when all hold, else each that does not and exit code 1",
    )
    .action(async (options: RunOption) => finish(await check(options)))
}
function addTools(neptune: Command, finish: (code: number) => void): void {
  neptune
    .command('bench <name>')
    .description('measure: ipc, boot, disk, bulk, revoke, spawn or memory, each beside a bare baseline of the same run')
    .option('--json', 'as one JSON object')
    .action(async (name: string, options: { json?: boolean }) => {
      const { bench } = await import('../../lab/bench/index.ts')
      finish(await bench(name, options, say))
    })
  neptune
    .command('compose')
    .description('print the docker-compose.yml that runs the system with one container per process')
    .option('--manifest <file>', "another launch.json than the repository's")
    .option('--out <file>', 'write it there instead')
    .action(compose)
  neptune
    .command('graph')
    .description('print who may call whom and reach what, as a Mermaid flowchart')
    .option('--manifest <file>', "another launch.json than the repository's")
    .action(async (options: { manifest?: string }) => {
      const { graph } = await import('./graph.ts')
      process.stdout.write(graph(options.manifest))
    })
}

async function main(): Promise<void> {
  let code = 0
  const neptune = program((value) => {
    code = value
  })
  for (const command of neptune.commands) command.copyInheritedSettings(neptune)
  if (process.argv.length <= 2) return neptune.outputHelp()
  try {
    await neptune.parseAsync(process.argv)
    process.exitCode = code
  } catch (error) {
    process.exitCode = explain(error)
  }
}
function explain(error: unknown): number {
  if (error instanceof CommanderError) return explainCommander(error)
  if (error instanceof UserError) {
    say(error.message)
    return error.exitCode
  }
  if (errorCode(error) !== undefined) {
    say((error as Error).message)
    return 1
  }
  throw error
}
function explainCommander(error: CommanderError): number {
  if (error.exitCode === 0) return 0
  const sentence = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
  say(`${sentence}; npx neptune help shows what there is`)
  return 2
}
void main()
