/** What every wall may import: NTSTATUS, bytes, names. No IO, no clock, no state. */
export * from './status.ts'
export * from './random.ts'
