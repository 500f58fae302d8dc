import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { readManifest } from '../launcher/options.ts'
import { composeFile } from './compose.ts'
import { containersOf, GROUP } from './containers.ts'

const root = path.resolve(__dirname, '..', '..')
const manifest = readManifest(path.join(root, 'launch.json'))

describe('docker-compose.yml', () => {
  it('is what launch.json makes of it', () => {
    expect(fs.readFileSync(path.join(root, 'docker-compose.yml'), 'utf8')).equal(composeFile(manifest))
  })
  it('has a container for each process, each with a user of its own that is not the kernel', () => {
    const containers = containersOf(manifest)
    const names = containers.map(({ name }) => name)
    expect(names).include.members(['panel', 'executive', ...Object.keys(manifest.devices ?? {})])
    expect(names).include.members(Object.keys(manifest.images as object))
    expect(new Set(names).size).equal(names.length)
    expect(new Set(containers.map(({ user }) => user)).size).equal(containers.length)
    expect(containers.every(({ user }) => user > GROUP)).equal(true)
  })
  it('pins what only one container can be: the terminal, the disks, the root task', () => {
    const pinned = containersOf(manifest).filter(({ role }) => role === 'pinned')
    expect(pinned.map(({ name }) => name)).include.members(['panel', 'executive', 'ahci0'])
  })
  it('gives the disk to nobody but its controller and the kernel', () => {
    const services = composeFile(manifest).split(/^ {2}(?=[a-z0-9-]+:$)/m)
    const holders = services.filter((text) => text.includes(':/disk"')).map((text) => text.split(':')[0])
    expect(holders).deep.equal(['kernel', 'ahci0'])
  })
  it('serves a manifest without a panel, and one whose root task has another name', () => {
    const small = { devices: {}, images: {}, root: { image: 'init' } }
    expect(containersOf(small).map(({ name }) => name)).deep.equal(['init', 'spare-1', 'spare-2', 'spare-3'])
    expect(composeFile(small)).not.include('tty')
  })
})
