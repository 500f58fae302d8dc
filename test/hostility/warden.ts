/**
 * The root task of a hostility run: starts the witnesses, then one hostile process after the other as the test says, with the
 * capabilities every attack may misuse; takes back what they were given when they are gone.
 */
import { OBJECT_TYPE, type ObjectType, RIGHTS, seL4_CapInitThreadCNode } from '#contracts/sel4'
import type { Child, CPtr, Environment, Main } from '../../lib/sel4/api.ts'
import { BADGE, DEPTH, type Line, lineToTest, SLOT } from './line.ts'

const OWN = seL4_CapInitThreadCNode
/** All that one attack is given is made of this: 2 MiB. */
const POOL_BITS = 21
const MEMORY_BITS = 19
const REST_MS = 500
export const warden: Main = async (env) => {
  const line = await lineToTest(env)
  const warden = new Warden(env, line)
  env.root?.onDeath((report) => line.say({ death: report }))
  await warden.begin()
  line.onLine((order) => void warden.obey(order as { op: string; attack: string }))
}
class Warden {
  private readonly env: Environment
  private readonly line: Line
  private endpoint = 0
  private server = 0
  private caller?: Child
  private pool = 0
  private hostile?: Child
  private given = new Map<string, CPtr>()
  private nextSlot: number = SLOT.free

  constructor(env: Environment, line: Line) {
    this.env = env
    this.line = line
  }
  private get root() {
    if (!this.env.root) throw new Error('the warden is the root task')
    return this.env.root
  }
  private async make(type: ObjectType, from: CPtr, bits = 0): Promise<CPtr> {
    const slot = this.nextSlot++
    await this.env.libsel4.Untyped_Retype(from, OBJECT_TYPE[type], bits, OWN, 0, 0, slot, 1)
    return slot
  }
  private async give(child: Child, slot: number, cap: CPtr, rights: number, badge = 0): Promise<void> {
    const { libsel4 } = this.env
    const cnode = child.caps?.cnode ?? 0
    if (badge) await libsel4.CNode_Mint(cnode, slot, DEPTH, OWN, cap, DEPTH, rights, badge)
    else await libsel4.CNode_Copy(cnode, slot, DEPTH, OWN, cap, DEPTH, rights)
  }
  private spawn(image: string, config: object = {}): Promise<Child> {
    const caps = { executive: { from: this.endpoint, badge: BADGE.hostile } }
    return this.root.spawn({
      image,
      birth: 'fresh',
      caps,
      arenaBytes: 0,
      control: true,
      config: { ...this.env.config, ...config },
    })
  }

  async begin(): Promise<void> {
    this.endpoint = await this.root.endpoint()
    void this.serve()
    this.server = await this.make('seL4_EndpointObject', this.env.caps['untyped.test'])
    await this.give(await this.spawn('server'), SLOT.server, this.server, RIGHTS.read)
    this.caller = await this.spawn('caller')
    await this.give(this.caller, SLOT.server, this.server, RIGHTS.write | RIGHTS.grantReply, BADGE.witness)
  }
  async obey({ op, attack }: { op: string; attack: string }): Promise<void> {
    if (op === 'attack') await this.attack(attack)
    else if (op === 'kill') await this.root.kill('hostile').catch(() => {})
    else await this.cleanUp()
    this.line.say({ did: op })
  }
  private async attack(attack: string): Promise<void> {
    const { caller } = this
    if (!caller) throw new Error('no witness yet')
    this.pool = await this.make('seL4_UntypedObject', this.env.caps['untyped.test'], POOL_BITS)
    const served = await this.make('seL4_EndpointObject', this.pool)
    const frame = await this.make('seL4_X86_4K', this.pool)
    const memory = await this.make('seL4_UntypedObject', this.pool, MEMORY_BITS)
    const lent = this.nextSlot++
    await this.env.libsel4.CNode_Mint(OWN, lent, DEPTH, OWN, this.server, DEPTH, RIGHTS.all, BADGE.hostile)
    this.given = new Map([
      ['frame', frame],
      ['lent', lent],
      ['served', served],
      ['memory', memory],
    ])
    const hostile = await this.spawn('hostile', { attack })
    this.hostile = hostile
    const caller_ = RIGHTS.write | RIGHTS.grantReply
    await this.give(hostile, SLOT.server, this.server, caller_ | RIGHTS.grant, BADGE.hostile)
    await this.give(hostile, SLOT.lent, lent, caller_)
    await this.give(hostile, SLOT.hostile, served, RIGHTS.all)
    await this.give(hostile, SLOT.memory, memory, RIGHTS.all)
    await this.give(hostile, SLOT.frame, frame, RIGHTS.read)
    await this.give(caller, SLOT.hostile, served, caller_, BADGE.witness)
    this.ready?.()
  }
  private ready?: () => void
  /** What a hostile process asks of the root task, in the body of a call; a `rest` is a while in which it takes nothing. */
  private async serve(): Promise<void> {
    for (;;) {
      const { body, reply } = await this.env.sel4.recv(this.endpoint)
      if (!reply) continue
      void this.asked(body).then(
        (answer) => this.env.sel4.reply(reply, 0, answer),
        (error: Error) => this.env.sel4.reply(reply, 0, error.message),
      )
      if (String(body) === 'rest') await this.env.clock.sleep(REST_MS)
    }
  }
  private async asked(body: unknown): Promise<unknown> {
    const [what, which] = Array.isArray(body) ? body : [body]
    if (what === 'begin') await this.furnished()
    else if (what === 'revoke') await this.root.revoke(this.given.get(String(which)) ?? 0)
    return null
  }
  private furnished(): Promise<void> {
    return this.hostile ? Promise.resolve() : new Promise((resolve) => (this.ready = resolve))
  }
  /** Everything that was made for the attack is revoked: a revoke that hangs is the attack's success. */
  private async cleanUp(): Promise<void> {
    const { libsel4 } = this.env
    this.hostile = undefined
    this.ready = undefined
    for (const slot of [this.pool, this.given.get('lent') ?? 0]) {
      await libsel4.CNode_Revoke(OWN, slot, DEPTH)
      await libsel4.CNode_Delete(OWN, slot, DEPTH)
    }
  }
}
