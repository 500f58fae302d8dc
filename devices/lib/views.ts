/**
 * Scattered memory: an ordered list of views that stands for one buffer.
 *
 *   lengthOf(views)                 bytes in all
 *   sliceViews(views, from, bytes)  the part [from, from + bytes), no bytes moved
 *   scatter(bytes, views)           copies a small answer (an identify page, a log) into them
 */
export type Views = readonly Uint8Array[]

export function lengthOf(views: Views): number {
  let length = 0
  for (const view of views) length += view.length
  return length
}
export function sliceViews(views: Views, from: number, bytes: number): Uint8Array[] {
  const part: Uint8Array[] = []
  let start = from
  let left = bytes
  for (const view of views) {
    if (left <= 0) break
    if (start < view.length) {
      const piece = view.subarray(start, start + left)
      part.push(piece)
      left -= piece.length
    }
    start = Math.max(0, start - view.length)
  }
  return part
}
export function scatter(bytes: Uint8Array, views: Views): void {
  let at = 0
  for (const view of views) {
    view.set(bytes.subarray(at, at + view.length))
    at += view.length
  }
}
