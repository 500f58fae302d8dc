/**
 * Names on a FAT volume: legality, case folding, OEM characters, short names, DOS wildcards. Pure functions.
 *
 *   isLegalName(name)          may be created as a long name
 *   fold(name)                 equal for names that FAT takes as one
 *   shortNameOf(raw, ntRes)    11 bytes of an entry → 'name.ext', undefined when it is no name
 *   exactShortName(name)       → 11 bytes and case bits when the name needs no long entry
 *   generateShortName(name, taken, from)   → 11 bytes with a numeric tail that `taken` does not know
 *   isNameInExpression(expression, name)   both folded; * ? and the DOS forms < > "
 *
 * [fatgen103] FAT Long Directory Entries; [MS-FSA] 2.1.4.4 for wildcards. Short names are kept in code page 437.
 */
export const NAME_MAX = 255

/** Code page 437, 0x80-0xFF. */
const OEM_HIGH =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'
const ILLEGAL = /["*/:<>?\\|]/
const SHORT_LEGAL = /^[A-Z0-9$%'\-_@~`!(){}^#&]+$/
/** Case bits of an entry's NTRes byte, as NT writes them: base, extension in lower case. */
export const NTRES_LOWER_BASE = 0x08
export const NTRES_LOWER_EXTENSION = 0x10

const hasControl = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x20) return true
  return false
}
const isIllegal = (text: string) => ILLEGAL.test(text) || hasControl(text)

/** Differs from NT: a name that ends in a dot or space is refused here; Win32 would have stripped them. */
export const isLegalName = (name: string): boolean =>
  name.length > 0 && name.length <= NAME_MAX && !isIllegal(name) && !/[. ]$/.test(name)

const foldUnit = (unit: string) => {
  const upper = unit.toUpperCase()
  return upper.length === 1 ? upper : unit
}
/** Unit by unit, so that a folded name has the length of the name. */
export function fold(name: string): string {
  const upper = name.toUpperCase()
  if (upper.length === name.length && !/[\ud800-\udfff]/.test(name)) return upper
  let folded = ''
  for (let i = 0; i < name.length; i++) folded += foldUnit(name[i])
  return folded
}

// ---------------------------------------------------------------- OEM
const fromOem = (byte: number) => (byte < 0x80 ? String.fromCharCode(byte) : OEM_HIGH[byte - 0x80])
/** 0: not in the code page. */
const toOem = (unit: string) => {
  const code = unit.charCodeAt(0)
  if (code < 0x80) return code
  const high = OEM_HIGH.indexOf(unit)
  return high < 0 ? 0 : high + 0x80
}

function part(raw: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) text += fromOem(i === 0 && raw[0] === 0x05 ? 0xe5 : raw[i])
  return text.trimEnd()
}

export function shortNameOf(raw: Uint8Array, ntRes = 0): string | undefined {
  const base = part(raw, 0, 8)
  const extension = part(raw, 8, 11)
  if (!base || base.startsWith(' ') || isIllegal(base) || isIllegal(extension)) return undefined
  if (base.includes('.') || extension.includes('.')) return undefined
  const shownBase = ntRes & NTRES_LOWER_BASE ? base.toLowerCase() : base
  const shownExtension = ntRes & NTRES_LOWER_EXTENSION ? extension.toLowerCase() : extension
  return extension ? `${shownBase}.${shownExtension}` : shownBase
}

function rawShortName(base: string, extension: string): Uint8Array {
  const raw = new Uint8Array(11).fill(0x20)
  for (let i = 0; i < base.length; i++) raw[i] = toOem(base[i])
  for (let i = 0; i < extension.length; i++) raw[8 + i] = toOem(extension[i])
  if (raw[0] === 0xe5) raw[0] = 0x05
  return raw
}

const oneCase = (text: string) => text === text.toUpperCase() || text === text.toLowerCase()
/** Base and extension each in one case, of plain characters, 8 and 3 long at most. */
export function exactShortName(name: string): { raw: Uint8Array; ntRes: number } | undefined {
  const dot = name.lastIndexOf('.')
  const base = dot < 0 ? name : name.slice(0, dot)
  const extension = dot < 0 ? '' : name.slice(dot + 1)
  if (!base || base.length > 8 || extension.length > 3 || (dot >= 0 && !extension)) return undefined
  if (!oneCase(base) || !oneCase(extension)) return undefined
  const upper = [base.toUpperCase(), extension.toUpperCase()]
  if (!SHORT_LEGAL.test(upper[0]) || (extension && !SHORT_LEGAL.test(upper[1]))) return undefined
  const ntRes = (base !== upper[0] ? NTRES_LOWER_BASE : 0) | (extension !== upper[1] ? NTRES_LOWER_EXTENSION : 0)
  return { raw: rawShortName(upper[0], upper[1]), ntRes }
}

/** Blanks and dots go, what the short set lacks becomes an underscore. */
function shortPart(text: string): string {
  let out = ''
  for (const unit of fold(text).replace(/[ .]/g, '')) {
    const legal = unit.length === 1 && toOem(unit) && (SHORT_LEGAL.test(unit) || unit.charCodeAt(0) > 0x7f)
    out += legal ? unit : '_'
  }
  return out
}

/** The stem that numeric tails are counted for. */
export function shortStem(name: string): { base: string; extension: string } {
  const trimmed = name.replace(/^[. ]+/, '')
  const dot = trimmed.lastIndexOf('.')
  return {
    base: shortPart(dot < 0 ? trimmed : trimmed.slice(0, dot)) || '_',
    extension: shortPart(dot < 0 ? '' : trimmed.slice(dot + 1)).slice(0, 3),
  }
}
/** Six digits leave one character of the base: more files of one stem than a directory can hold. */
export const TAIL_MAX = 999_999

/** First free tail from `from` on, then from 1; undefined when all are taken. */
export function generateShortName(
  stem: { base: string; extension: string },
  taken: (shortName: string) => boolean,
  from = 1,
): { raw: Uint8Array; tail: number } | undefined {
  for (let step = 0; step < TAIL_MAX; step++) {
    const tail = ((from - 1 + step) % TAIL_MAX) + 1
    const suffix = `~${tail}`
    const base = stem.base.slice(0, 8 - suffix.length) + suffix
    if (!taken(stem.extension ? `${base}.${stem.extension}` : base))
      return { raw: rawShortName(base, stem.extension), tail }
  }
  return undefined
}

// ---------------------------------------------------------------- wildcards
/** '*.*' means all, as DOS programs have it. */
export const isLegalExpression = (text: string): boolean =>
  text.length > 0 && text.length <= NAME_MAX && !/[/:\\|]/.test(text) && !hasControl(text)

/** A set of positions in the expression is advanced over the name: time is at most name × expression. */
export function isNameInExpression(expression: string, name: string): boolean {
  if (expression === '*' || expression === '*.*') return true
  const lastDot = name.lastIndexOf('.')
  let states = closure(new Set([0]), expression, name, 0)
  for (let i = 0; i < name.length && states.size; i++) {
    const next = new Set<number>()
    for (const at of states) step(expression, at, name[i], i, lastDot, next)
    states = closure(next, expression, name, i + 1)
  }
  return states.has(expression.length)
}

/** Positions reachable without taking a character. */
function closure(states: Set<number>, expression: string, name: string, i: number): Set<number> {
  for (const at of states) {
    const symbol = expression[at]
    const ended = i >= name.length
    if (symbol === '*' || symbol === '<') states.add(at + 1)
    else if (symbol === '>' && (ended || name[i] === '.')) states.add(at + 1)
    else if (symbol === '"' && ended) states.add(at + 1)
  }
  return states
}

function step(expression: string, at: number, unit: string, i: number, lastDot: number, next: Set<number>): void {
  const symbol = expression[at]
  if (symbol === '*') next.add(at)
  else if (symbol === '<') {
    if (unit !== '.' || i !== lastDot) next.add(at)
  } else if (symbol === '?' || symbol === unit) next.add(at + 1)
  else if (symbol === '>' && unit !== '.') next.add(at + 1)
  else if (symbol === '"' && unit === '.') next.add(at + 1)
}
