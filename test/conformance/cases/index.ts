import './cnode.ts'
import './ipc.ts'
import './machine.ts'
export { CASES, helper, tester } from '../tester.ts'
