/** What the kernel says of each way to die: by a signal, by oneself, by standing still. */
export const WAYS = {
  SIGKILL: { cause: 'signal', detail: 'SIGKILL' },
  SIGSEGV: { cause: 'signal', detail: 'SIGSEGV' },
  exit: { cause: 'exit', detail: '0' },
  rejection: { cause: 'exit', detail: '70' },
  SIGSTOP: { cause: 'lease', detail: 'it was stopped' },
} as const
