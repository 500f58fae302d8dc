/** Every conformance case, in the order of its methods. Nothing but the list. */
import './cnode.ts'
import './ipc.ts'
import './machine.ts'
export { CASES, helper, tester } from '../tester.ts'
