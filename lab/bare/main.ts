/**
 * A bare Node process with the libraries every image loads at its start: what starting as many processes costs at the very least.
 *
 *   node lab-bare.js              loads them, prints a line, ends with its stdin
 *   node lab-bare.js echo SOCKET       a bare ROUTER that answers every message with the same bytes
 *   node lab-bare.js unix SOCKET       a unix socket that gives every byte back
 *   node lab-bare.js ring IN OUT       takes a msgpack message from IN, decodes, encodes and sends it on to OUT
 */
import net from 'node:net'
import koffi from 'koffi'
import { pack, unpack } from 'msgpackr'
import { Pull, Push, Router } from 'zeromq'

/** The same socket options that both sides of the comparison have: no limit, no lingering. */
const OPTIONS = { sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 0 }

async function echo(address: string): Promise<void> {
  const router = new Router(OPTIONS)
  await router.bind(address)
  ready()
  for await (const parts of router) await router.send(parts)
}
function unix(address: string): void {
  net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(address, ready)
}
async function ring(from: string, to: string): Promise<void> {
  const pull = new Pull({ receiveHighWaterMark: 0, linger: 0 })
  const push = new Push({ sendHighWaterMark: 0, linger: 0 })
  await pull.bind(from)
  push.connect(to)
  ready()
  for await (const [message] of pull) await push.send(pack(unpack(message)))
}
function ready(): void {
  process.stdout.write('ready\n')
  process.stdin.on('end', () => process.exit(0)).resume()
}

const [mode, ...addresses] = process.argv.slice(2)
if (mode === 'echo') void echo(addresses[0])
else if (mode === 'unix') unix(addresses[0])
else if (mode === 'ring') void ring(addresses[0], addresses[1])
else if (koffi.load !== undefined && unpack(pack(1)) === 1) ready()
