import { expect } from 'chai'
import fc from 'fast-check'
import {
  exactShortName,
  fold,
  generateShortName,
  isLegalName,
  isNameInExpression,
  shortNameOf,
  shortStem,
} from './names.ts'

const text = (raw: Uint8Array) => Array.from(raw, (byte) => String.fromCharCode(byte)).join('')
const generated = (name: string, ...taken: string[]) => {
  const found = generateShortName(shortStem(name), (short) => taken.includes(short))
  return found && shortNameOf(found.raw)
}

describe('fatfs names', () => {
  it('keeps 8.3 names of one case each without a long entry', () => {
    expect(exactShortName('README.TXT')).to.deep.include({ ntRes: 0 })
    expect(exactShortName('lower.TXT')).to.deep.include({ ntRes: 0x08 })
    expect(exactShortName('UPPER.txt')).to.deep.include({ ntRes: 0x10 })
    expect(text(exactShortName('a.b')?.raw as Uint8Array)).to.equal('A       B  ')
    for (const name of ['Mixed.txt', 'ninechars', 'a.html', 'a b', 'a+b', 'a.b.c', '.profile', 'é'])
      expect(exactShortName(name), name).to.equal(undefined)
  })

  it('generates short names with numeric tails', () => {
    expect(generated('longname.text')).to.equal('LONGNA~1.TEX')
    expect(generated('longname.text', 'LONGNA~1.TEX', 'LONGNA~2.TEX')).to.equal('LONGNA~3.TEX')
    expect(generated('.profile')).to.equal('PROFIL~1')
    expect(generated('a+b [1].tar.gz')).to.equal('A_B_1_~1.GZ')
    expect(generated('名前.txt')).to.equal('__~1.TXT')
    expect(generated('...a')).to.equal('A~1')
    const tens = Array.from({ length: 9 }, (_, i) => `LONGNA~${i + 1}`)
    expect(generated('longname', ...tens)).to.equal('LONGN~10')
  })

  it('always generates a name that is legal and short', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 40 }), (name) => {
        const short = generated(name)
        expect(short).to.match(/^[^. ]{1,8}(\.[^. ]{1,3})?$/)
        expect(isLegalName(short as string)).to.equal(true)
      }),
    )
  })

  it('folds without changing length', () => {
    expect(fold('straße.Äß')).to.equal('STRAßE.Äß')
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (name) => fold(name).length === name.length))
  })

  it('refuses what no FAT name may have', () => {
    for (const name of [
      '',
      'a:b',
      'a\\b',
      'a/b',
      'a*',
      'a?',
      'a"',
      'a<',
      'a|',
      'a\0',
      'a.',
      'a ',
      '.',
      '..',
      'x'.repeat(256),
    ])
      expect(isLegalName(name), name).to.equal(false)
    for (const name of ['a', '.a', ' a', 'a b', 'a;b', 'ä', 'x'.repeat(255)])
      expect(isLegalName(name), name).to.equal(true)
  })

  it('matches wildcards', () => {
    const matching: [string, string][] = [
      ['*', 'A'],
      ['*.*', 'A'],
      ['*.TXT', 'A.TXT'],
      ['A*', 'ABC'],
      ['?BC', 'ABC'],
      ['*B*', 'ABC'],
      ['<.C', 'A.B.C'],
      ['A>>', 'A'],
      ['A"', 'A'],
      ['A"B', 'A.B'],
      ['<', 'A'],
      ['A.B', 'A.B'],
      ['*A*A*A*', 'AAA'],
    ]
    const others: [string, string][] = [
      ['*.TXT', 'A.TXTX'],
      ['?', 'AB'],
      ['?', ''],
      ['A>', 'A.B'],
      ['B*', 'ABC'],
      ['A', 'AB'],
      ['*A', 'AB'],
    ]
    for (const [expression, name] of matching)
      expect(isNameInExpression(expression, name), `${expression} ${name}`).to.equal(true)
    for (const [expression, name] of others)
      expect(isNameInExpression(expression, name), `${expression} ${name}`).to.equal(false)
  })

  it('matches long names against many stars in time', () => {
    expect(isNameInExpression('*A'.repeat(60), `${'A'.repeat(200)}B`)).to.equal(false)
  })
})
