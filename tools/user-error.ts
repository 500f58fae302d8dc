/** A mistake in what the user asked for: one sentence that says what to do, exit code 2, nothing left behind. */
export class UserError extends Error {
  readonly exitCode: number
  constructor(sentence: string, exitCode = 2) {
    super(sentence)
    this.name = 'UserError'
    this.exitCode = exitCode
  }
}
/** The system's own word for a failed file operation: 'ENOENT'; undefined when it was something else. */
export const errorCode = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code
