import { expect } from 'chai'
import { KeyboardCable } from '#contracts/machine'
import { fakeEnvironment, settle } from '#sel4/fake'
import { I8042 } from './i8042.ts'
import { main } from './index.ts'

function bench() {
  const events: string[] = []
  const line = (name: string) => ({
    raise: () => void events.push(`+${name}`),
    lower: () => void events.push(`-${name}`),
  })
  const chip = new I8042({
    keyboardIrq: line('1'),
    auxIrq: line('12'),
    resetProcessor: () => void events.push('reset'),
  })
  const status = () => chip.portIn(0x64, 1)
  const data = () => chip.portIn(0x60, 1)
  const command = (byte: number, argument?: number) => {
    chip.portOut(0x64, 1, byte)
    if (argument !== undefined) chip.portOut(0x60, 1, argument)
  }
  /** Everything in the output buffer, until it is empty. */
  const drain = () => {
    const bytes: number[] = []
    while (status() & 1) bytes.push(data())
    return bytes
  }
  const send = (byte: number) => {
    chip.portOut(0x60, 1, byte)
    return drain()
  }
  return { chip, events, status, data, command, drain, send }
}

describe('i8042', () => {
  it('is handed over by the firmware with an empty buffer and translation on', () => {
    const { status, command, drain } = bench()
    expect(status()).to.equal(0x14)
    command(0x20)
    expect(drain()).to.deep.equal([0x65])
  })

  it('passes its self test and interface tests', () => {
    const { command, drain } = bench()
    for (const [code, answer] of [
      [0xaa, 0x55],
      [0xab, 0x00],
      [0xa9, 0x00],
    ]) {
      command(code)
      expect(drain()).to.deep.equal([answer])
    }
  })

  it('stores the command byte without its reserved bits and mirrors the system flag', () => {
    const { command, drain, status } = bench()
    command(0x60, 0xfb)
    command(0x20)
    expect(drain()).to.deep.equal([0x73])
    expect(status() & 0x0c).to.equal(0x08)
  })

  it('tells commands from data in the status register', () => {
    const { command, status } = bench()
    command(0xae)
    expect(status() & 8).to.equal(8)
    command(0x60, 0x65)
    expect(status() & 8).to.equal(0)
  })

  it('enables and disables both interfaces in the command byte', () => {
    const { command, drain } = bench()
    const ccb = () => {
      command(0x20)
      return drain()[0]
    }
    command(0xad)
    expect(ccb()).to.equal(0x75)
    command(0xae)
    command(0xa8)
    expect(ccb()).to.equal(0x45)
    command(0xa7)
    expect(ccb()).to.equal(0x65)
  })

  it('translates set 2 to set 1: make, break, extended, pause', async () => {
    const { chip, drain } = bench()
    void chip.scancodes([0x1c, 0xf0, 0x1c, 0xe0, 0xf0, 0x75])
    expect(drain()).to.deep.equal([0x1e, 0x9e, 0xe0, 0xc8])
    void chip.scancodes([0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77, 0x83, 0x84])
    expect(drain()).to.deep.equal([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x41, 0x54])
  })

  it('passes set 2 unchanged without translation', () => {
    const { chip, command, drain } = bench()
    command(0x60, 0x25)
    void chip.scancodes([0x1c, 0xf0, 0x1c])
    expect(drain()).to.deep.equal([0x1c, 0xf0, 0x1c])
  })

  it('gives one byte and one edge at a time, and answers the cable with the last byte', async () => {
    const { chip, data, events } = bench()
    let answered: boolean | undefined
    void chip.scancodes([0xe0, 0x75]).then((accepted) => (answered = accepted))
    await settle()
    expect(events).to.deep.equal(['+1'])
    expect(answered).to.equal(undefined)
    expect(data()).to.equal(0xe0)
    expect(events).to.deep.equal(['+1', '-1', '+1'])
    await settle()
    expect(answered).to.equal(true)
    expect(data()).to.equal(0x48)
    expect(data()).to.equal(0x48)
    expect(events).to.deep.equal(['+1', '-1', '+1', '-1'])
  })

  it('raises the interrupt when it is enabled with a full buffer', () => {
    const { chip, command, events } = bench()
    command(0x60, 0x64)
    void chip.scancodes([0x1c])
    expect(events).to.deep.equal([])
    command(0x60, 0x65)
    expect(events).to.deep.equal(['+1'])
  })

  it('makes keys wait while the interface is disabled, and refuses them while the keyboard is', async () => {
    const { chip, command, drain, send } = bench()
    command(0xad)
    const waiting = chip.scancodes([0x1c])
    expect(drain()).to.deep.equal([])
    command(0xae)
    expect(await waiting).to.equal(true)
    expect(drain()).to.deep.equal([0x1e])
    expect(send(0xf5)).to.deep.equal([0xfa])
    expect(await chip.scancodes([0x1c])).to.equal(false)
    expect(send(0xf4)).to.deep.equal([0xfa])
    expect(await chip.scancodes([0x1c])).to.equal(true)
  })

  it('holds keys while the clock is inhibited and loses them on a keyboard reset', async () => {
    const { chip, command, data, send, drain } = bench()
    const typed = chip.scancodes([0xe0, 0x75])
    command(0xad)
    expect(data()).to.equal(0xe0)
    expect(drain()).to.deep.equal([])
    command(0xae)
    expect(drain()).to.deep.equal([0x48])
    expect(await typed).to.equal(true)
    const lost = chip.scancodes([0xe0, 0x75])
    chip.portOut(0x60, 1, 0xff)
    expect(await lost).to.equal(false)
    expect(drain()).to.deep.equal([0xe0, 0xfa, 0xaa])
    expect(send(0xee)).to.deep.equal([0xee])
  })

  it('answers the keyboard commands', () => {
    const { chip, send } = bench()
    expect(send(0xff)).to.deep.equal([0xfa, 0xaa])
    expect(send(0xf2)).to.deep.equal([0xfa, 0xab, 0x41])
    expect(send(0xed)).to.deep.equal([0xfa])
    expect(send(0x05)).to.deep.equal([0xfa])
    expect(chip.keyboard.leds).to.equal(5)
    expect(send(0xf0)).to.deep.equal([0xfa])
    expect(send(0x00)).to.deep.equal([0xfa, 0x41])
    expect(send(0xf0)).to.deep.equal([0xfa])
    expect(send(0x03)).to.deep.equal([0xfe])
    expect(send(0xf3)).to.deep.equal([0xfa])
    expect(send(0x20)).to.deep.equal([0xfa])
    expect(send(0xfe)).to.deep.equal([0xfa])
    expect(send(0xf6)).to.deep.equal([0xfa])
    expect(send(0x77)).to.deep.equal([0xfe])
    expect(chip.keyboard.leds).to.equal(0)
  })

  it('takes a command in place of an awaited argument', () => {
    const { send } = bench()
    send(0xed)
    expect(send(0xf4)).to.deep.equal([0xfa])
    expect(send(0x05)).to.deep.equal([0xfe])
  })

  it('sends set 1 itself when told to, untranslated', () => {
    const { chip, command, send, drain } = bench()
    command(0x60, 0x25)
    send(0xf0)
    send(0x01)
    void chip.scancodes([0xf0, 0x1c])
    expect(drain()).to.deep.equal([0x9e])
  })

  it('has an auxiliary interface without a mouse', () => {
    const { command, status, data, events } = bench()
    command(0x60, 0x47)
    command(0xd4, 0xf2)
    expect(status() & 0x61).to.equal(0x61)
    expect(data()).to.equal(0xfe)
    command(0xd3, 0x12)
    expect(status() & 0x61).to.equal(0x21)
    expect(data()).to.equal(0x12)
    expect(events).to.deep.equal(['+12', '-12', '+12', '-12'])
  })

  it('reads and writes the output port; its reset bit and the pulse reset the processor', () => {
    const { command, drain, data, events } = bench()
    command(0xd0)
    expect(drain()).to.deep.equal([0x03])
    command(0xd2, 0x1e)
    expect(data()).to.equal(0x1e)
    command(0xd1, 0x03)
    expect(events).to.not.include('reset')
    command(0xff)
    expect(events).to.not.include('reset')
    command(0xfe)
    command(0xd1, 0x02)
    expect(events.filter((event) => event === 'reset')).to.have.length(2)
  })

  it('lowers its lines on reset and forgets what waited', async () => {
    const { chip, status, events } = bench()
    const typed = chip.scancodes([0x1c, 0x1c])
    chip.reset()
    expect(await typed).to.equal(false)
    expect(events).to.deep.equal(['+1', '-1'])
    expect(status()).to.equal(0x14)
  })

  it('serves the keyboard cable', async () => {
    const env = fakeEnvironment({ name: 'i8042', caps: { keyboard: 3 }, machine: {} })
    void main(env)
    expect(await env.deliver(3, KeyboardCable, 'scancodes', { bytes: [0x1c] })).to.deep.equal({ accepted: true })
    expect(env.machine?.irqs).to.deep.equal([{ index: 0, event: 'raise' }])
    expect(env.machine?.chip?.portIn?.(0x60, 1)).to.equal(0x1e)
  })
})
