/** DOS paths of a shell, and the NT names they stand for. */

/** 'C:\A\..\B' for a path typed in a current directory; no trailing backslash but at a root. */
export function fullPath(currentDirectory: string, typed: string): string {
  const drive = /^[A-Za-z]:/.exec(typed)?.[0].toUpperCase()
  const current = splitDrive(currentDirectory)
  const rest = drive ? typed.slice(2) : typed
  const base =
    rest.startsWith('\\') || rest.startsWith('/') || (drive !== undefined && drive !== current.drive)
      ? []
      : current.parts
  const parts = [...base]
  for (const part of rest.split(/[\\/]+/)) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  return `${drive ?? current.drive}\\${parts.join('\\')}`
}
function splitDrive(path: string): { drive: string; parts: string[] } {
  return { drive: path.slice(0, 2), parts: path.slice(2).split('\\').filter(Boolean) }
}
export const ntPath = (dosPath: string): string => `\\??\\${dosPath}`
export const baseName = (path: string): string => path.slice(path.lastIndexOf('\\') + 1)
export const directoryOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('\\'), 3))
