/**
 * The walls: which room may import which. One rule per room; what a rule does not list is forbidden.
 * Tests stand outside: they may import anything.
 */
'use strict'
const fs = require('node:fs')
const path = require('node:path')

/** Tests, what only tests import, and the simulator, which joins kernel and sel4 in one process. */
const TESTS = '([.]test|-support|/sim)[.]ts$'
const lib = (...names) => names.map((name) => `^lib/${name}/`)
const npm = (...names) => names.map((name) => `^node_modules/${name}/`)
/** Core modules are resolved to their bare names. */
const NODE = ['^node:', '^[a-z_]+$', '^(fs|timers|stream|path|dns|readline)/[a-z]+$']

const wall = (name, from, allowed, comment, except = []) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from, pathNot: [TESTS, ...except] },
  to: { pathNot: [from, ...allowed] },
})

/** Folders with a driver.json: images. One without (storport, classpnp) is a library that its minidrivers are linked with. */
function imageFolders(dir) {
  if (!fs.existsSync(path.join(__dirname, dir))) return []
  return fs.readdirSync(path.join(__dirname, dir), { withFileTypes: true }).flatMap((entry) => {
    const name = `${dir}/${entry.name}`
    if (!entry.isDirectory()) return []
    return fs.existsSync(path.join(__dirname, name, 'driver.json')) ? [name, ...imageFolders(name)] : imageFolders(name)
  })
}
const alone = (folder, _, all) => ({
  name: `driver-alone-${path.basename(folder)}`,
  severity: 'error',
  comment: 'A driver never imports another driver.',
  from: { path: `^${folder}/`, pathNot: [TESTS] },
  to: { path: all.filter((other) => other !== folder).map((other) => `^${other}/`), pathNot: [`^${folder}/`] },
})

module.exports = {
  forbidden: [
    wall('rtl', '^lib/rtl/', [], 'rtl imports nothing: every room may import it.'),
    wall('contracts', '^lib/contracts/', lib('rtl'), 'contracts import rtl only.'),
    wall(
      'sel4',
      '^lib/sel4/',
      [...lib('contracts', 'rtl'), ...npm('zeromq', 'msgpackr', 'koffi', 'pino'), ...NODE],
      'Only lib/sel4 and kernel know that endpoints are sockets.',
    ),
    wall(
      'kernel',
      '^kernel/',
      [
        '^lib/contracts/(sel4|field|interface)[.]ts$',
        // What both ends of a message must agree on to the byte: its form, the sockets it crosses, the page of registers
        // and the banks behind it, and the seams for chance and time. Of what a process asks with (stub, runtime, environment) only the
        // types and error numbers in api.ts.
        '^lib/sel4/(api|chance|monotonic|wire|transport|zeromq|tracer)[.]ts$',
        '^lib/sel4/memory/',
        ...lib('rtl'),
        ...npm('zeromq', 'msgpackr', 'koffi', 'pino', 'typebox'),
        ...NODE,
      ],
      'The kernel knows no NT word: of the contracts it may see its own only, of sel4 the other end of the same wire.',
    ),
    wall('executive', '^executive/', lib('contracts', 'sel4', 'rtl'), 'The Executive touches no socket and no file.'),
    wall('wdm', '^lib/wdm/', lib('contracts', 'sel4', 'rtl'), 'wdm → contracts, sel4, rtl.'),
    wall('ntdll', '^lib/ntdll/', lib('contracts', 'sel4', 'rtl'), 'ntdll → contracts, sel4, rtl.'),
    wall(
      'drivers',
      '^drivers/',
      ['^drivers/lib/', ...lib('wdm', 'contracts', 'rtl')],
      'A driver sees wdm, contracts, rtl.',
    ),
    wall('drivers-lib', '^drivers/lib/', lib('wdm', 'contracts', 'rtl'), 'What drivers share imports no driver.'),
    wall('services', '^services/', lib('ntdll', 'contracts', 'rtl'), 'A program sees ntdll, contracts, rtl.'),
    wall(
      'devices',
      '^devices/',
      [...lib('contracts', 'sel4', 'rtl'), '^devices/lib/'],
      'A device sees the machine, not the host.',
      ['^devices/lib/'],
    ),
    wall(
      'devices-lib',
      '^devices/lib/',
      [...lib('contracts', 'sel4', 'rtl'), ...npm('koffi'), ...NODE],
      'devices/lib imports no chip.',
    ),
    ...imageFolders('drivers').map(alone),
    {
      name: 'service-alone',
      severity: 'error',
      comment: 'A program never imports another program.',
      from: { path: '^services/([^/]+)/', pathNot: [TESTS] },
      to: { path: '^services/', pathNot: ['^services/$1/'] },
    },
    {
      name: 'device-alone',
      severity: 'error',
      comment: 'Chips are joined by cables, not by imports.',
      from: { path: '^devices/([^/]+)/', pathNot: [TESTS] },
      to: { path: '^devices/', pathNot: ['^devices/($1|lib)/'] },
    },
    {
      name: 'nobody-imports-these',
      severity: 'error',
      comment: 'lab, tools and test may import anything; nobody imports them.',
      from: { path: '^(lib|kernel|executive|drivers|devices|services)/', pathNot: [TESTS] },
      to: { path: '^(lab|tools|test)/' },
    },
    {
      name: 'in-memory-for-tests',
      severity: 'error',
      comment: 'The fakes are for tests.',
      from: { path: '^(kernel|executive|drivers|devices|services|lib)/', pathNot: [TESTS, '[.]?fake'] },
      to: { path: '(^|/)fake([^/]*|/.*)[.]ts$' },
    },
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'A circle of values breaks at start; types may point at each other.',
      from: { pathNot: [TESTS] },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'not-resolvable',
      severity: 'error',
      comment: 'An import that leads nowhere.',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|[.]cache)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    parser: 'tsc',
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'require', 'import', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
}
