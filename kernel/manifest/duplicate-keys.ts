/**
 * Keys given twice in one object of a JSON text: JSON.parse keeps the last and says nothing, so that half of what somebody
 * wrote would be ignored.
 *
 *   duplicateKeys(text)   'cables.keyboard' for each, in order; `text` must already have passed JSON.parse
 */
interface Level {
  /** Keys seen, for an object; undefined for a list. */
  readonly keys?: Set<string>
  /** Where in the level above this one is. */
  at: string
  next: number
}
/** A string, or one of the signs that shape a JSON text; all else is values. */
const TOKENS = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\],]/g

export function duplicateKeys(text: string): string[] {
  const levels: Level[] = []
  const twice: string[] = []
  for (const [token, colon] of text.matchAll(TOKENS)) {
    const level = levels.at(-1)
    if (token === '{') levels.push({ keys: new Set(), at: '', next: 0 })
    else if (token === '[') levels.push({ at: '0', next: 0 })
    else if (token === '}' || token === ']') levels.pop()
    else if (token === ',' && level && !level.keys) level.at = String(++level.next)
    else if (colon && level?.keys) {
      level.at = JSON.parse(token.slice(0, -colon.length)) as string
      if (level.keys.has(level.at)) twice.push(levels.map(({ at }) => at).join('.'))
      level.keys.add(level.at)
    }
  }
  return twice
}
