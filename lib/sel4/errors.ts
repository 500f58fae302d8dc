/** What an answer with FLAG.ERROR says: the code is its label, the detail its body. */
import { SEL4_ERROR, Sel4Error, type Sel4ErrorName } from './api.ts'

const NAMES = new Map<number, Sel4ErrorName>(
  Object.entries(SEL4_ERROR).map(([name, code]) => [code, name as Sel4ErrorName]),
)
export const sel4Error = (code: number, detail?: unknown): Sel4Error =>
  new Sel4Error(NAMES.get(code) ?? 'seL4_InvalidArgument', typeof detail === 'string' ? detail : undefined)
