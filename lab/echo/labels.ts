/** What lab-caller asks of lab-echo, by the label of its message. */
export const LABEL = { echo: 0, pages: 1, pageBytes: 2, accessor: 3, grow: 4, cut: 5 } as const

/** Of pages handed over: the sum of the bytes read, one a page, and when the last was read, by `monotonic`. */
export type HasRead = readonly [sum: number, at: number]

/** Microseconds of CLOCK_MONOTONIC, which all processes of a host share. */
export const monotonic = (): number => Number(process.hrtime.bigint()) / 1000
