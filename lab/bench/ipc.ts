/**
 * IPC: a Call and its answer between two processes under a real kernel, beside a bare zeromq.js DEALER/ROUTER pair that
 * carries as many bytes.
 *
 *   bench ──socket──► lab-caller ──endpoint──► lab-echo        (value)
 *   bench ──DEALER──► ROUTER of a bare process                 (baseline)
 */
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { launch } from '../../tools/launcher/launch.ts'
import { bareEcho } from './bare.ts'
import type { Say } from './index.ts'
import { alternate, type Block, type Row, row } from './ratio.ts'

const CASES = [
  { name: 'call-64', bytes: 64, slowpath: false },
  { name: 'call-4096', bytes: 4096, slowpath: false },
  { name: 'slowpath-64', bytes: 64, slowpath: true },
]
/** A body of msgpack bin16 that fits the one page which may travel in a message: 3 bytes of its own. */
const BIN_HEADER = 3
const WARM_UP = 2000
/**
 * Short blocks and many: on a machine with other work most of them still run undisturbed, and the median is theirs.
 * A turn takes some 50 us, so a block is about as long as the host's scheduler lets a process run at once.
 */
const OPERATIONS = 60
const BLOCKS = 120

export async function benchIpc(say: Say): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const { name, bytes, slowpath } of CASES) {
    const pair = await startPair(slowpath, say)
    const bare = await bareEcho(bytes)
    try {
      const value = pair.block(bytes > 1024 ? bytes - BIN_HEADER : bytes)
      for (const warm of [value, bare.block]) await warm(WARM_UP)
      rows.push(
        row(name, 'us', await alternate({ value, baseline: bare.block, operations: OPERATIONS, blocks: BLOCKS })),
      )
    } finally {
      await bare.end()
      await pair.end()
    }
  }
  return rows
}
const manifest = (socket: string) => ({
  machine: 'pc',
  banks: { lab: { bytes: '4 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'lab-echo', banks: ['lab'], config: { socket } },
  images: { 'lab-caller': { image: 'lab-caller' } },
})

interface Pair {
  block(bytes: number): Block
  end(): Promise<void>
}
async function startPair(slowpath: boolean, say: Say): Promise<Pair> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-ipc-'))
  const address = path.join(folder, 'bench')
  fs.writeFileSync(path.join(folder, 'launch.json'), JSON.stringify(manifest(address)))
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(address, resolve))
  const caller = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const plan = {
    kernelImage: path.join(__dirname, 'kernel.js'),
    manifest: path.join(folder, 'launch.json'),
    slowpath,
    say,
  }
  const system = launch(plan)
  const socket = await Promise.race([
    caller,
    system.then((code) => Promise.reject(new Error(`the kernel ended with ${code}`))),
  ])
  const lines = readline.createInterface({ input: socket })[Symbol.asyncIterator]()
  const block = (bytes: number) => async (operations: number) => {
    socket.write(`${JSON.stringify({ bytes, operations })}\n`)
    const line = await lines.next()
    if (line.done) throw new Error('the calling process ended')
    return (JSON.parse(line.value) as { us: number }).us
  }
  const end = async () => {
    socket.end()
    server.close()
    await system
    fs.rmSync(folder, { recursive: true, force: true })
  }
  return { block, end }
}
