/** Every conformance case, in the order of its methods. Nothing but the list. */
import './cnode.ts'
import './ipc.ts'
import './memory.ts'
import './io.ts'
import './threads.ts'
import './interrupts.ts'
import './sync.ts'
export { CASES, helper, tester } from '../tester.ts'
