/**
 * Can this machine run Neptune at all?
 *
 *   platformFacts()       what there is
 *   unsupported(facts)    the one sentence that says what is missing and what to do; undefined when all is well
 *
 * Read by Nodes that are too old for the rest of the house: no syntax younger than 2020, no dependencies.
 */
/** require() of ES modules without a flag, which the tests' assertion library needs, came with 20.19. */
const OLDEST_NODE = [20, 19]
/** The C library decides which of the native packages' binaries fit; only glibc ones are published for all of them. */
const MACHINES = ['linux x64', 'linux arm64']

export function platformFacts() {
  if (process.report) process.report.excludeNetwork = true
  return {
    node: process.versions.node,
    machine: `${process.platform} ${process.arch}`,
    glibc: process.report?.getReport().header.glibcVersionRuntime,
  }
}
export function unsupported({ node, machine, glibc }) {
  const [major, minor] = node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    return `Node ${node} is too old: install Node ${OLDEST_NODE.join('.')} or later`
  if (!MACHINES.includes(machine)) return `${machine} is not supported: use Linux with glibc on x64 or arm64`
  if (!glibc) return 'this Linux has no glibc, which the native packages need: use a glibc distribution such as Debian'
  return undefined
}
