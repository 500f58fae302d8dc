/** Rows of objects as text in columns; numbers to the right. Pure. */
export function table(rows: readonly object[]): string {
  if (rows.length === 0) return ''
  const names = Object.keys(rows[0])
  const cells = rows.map((row) => names.map((name) => show((row as Record<string, unknown>)[name])))
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i].length)))
  const isNumber = names.map((name) => typeof (rows[0] as Record<string, unknown>)[name] === 'number')
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [names, ...cells].map(line).join('\n')
}
function show(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
