/**
 * What a scenario plays on: one system, and a disk that other programs made and judge.
 *
 *   const stage = Stage.ofEachTest()                     inside `describe`
 *   const disk = stage.disk(this, { fat: 32, bytes })    `this`: mocha's context
 *   const system = await stage.boot()                    from that disk
 *   await stage.endWell()                                in order: the disk is whole, nothing is left
 *
 * Both are gone after each test; one that failed prints what its system said.
 */
import { expect } from 'chai'
import { DiskImage, type DiskOptions } from './disk-image.ts'
import { bootSystem, endAllSystems, type System, type SystemOptions } from './system.ts'

export class Stage {
  private made?: DiskImage
  private booted?: System

  static ofEachTest(): Stage {
    const stage = new Stage()
    afterEach(async function () {
      if (this.currentTest?.state === 'failed') console.log(stage.booted?.report())
      await stage.clear()
    })
    return stage
  }
  private async clear(): Promise<void> {
    await endAllSystems()
    this.made?.remove()
    this.made = this.booted = undefined
  }
  disk(test: { skip(): never }, options: DiskOptions): DiskImage {
    this.made = DiskImage.make(test, options)
    return this.made
  }
  /** `mode`: ro or snapshot, as --disk takes them behind a second colon. */
  async boot({ mode, ...options }: SystemOptions & { readonly mode?: 'ro' | 'snapshot' } = {}): Promise<System> {
    const disk = this.made && { disk: `ahci:${this.made.path}${mode ? `:${mode}` : ''}` }
    this.booted = await bootSystem({ ...disk, ...options })
    return this.booted
  }
  get system(): System {
    if (!this.booted) throw new Error('no system was booted')
    return this.booted
  }
  async endWell(): Promise<void> {
    expect(await this.system.enter('umount C')).equal('')
    expect(await this.system.shutdown()).deep.equal({ code: 0, signal: null })
    expect(this.made?.complaints()).deep.equal([])
    await this.system.expectNothingLeft()
  }
}
