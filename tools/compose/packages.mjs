#!/usr/bin/env node
/**
 * The packages that the built images need beside themselves, with what those need, copied from node_modules to DIR.
 *
 *   node tools/compose/packages.mjs DIR
 *
 * Native packages are not bundled: they find their binaries by their own path. Everything else is in the bundles.
 */
import fs from 'node:fs'
import path from 'node:path'

const NATIVE = ['zeromq', 'koffi', 'msgpackr-extract']

function packages(names, found = new Set()) {
  for (const name of names) {
    const file = path.join('node_modules', name, 'package.json')
    // Optional ones are there for this platform, or not.
    if (found.has(name) || !fs.existsSync(file)) continue
    found.add(name)
    const { dependencies, optionalDependencies } = JSON.parse(fs.readFileSync(file, 'utf8'))
    packages(Object.keys({ ...dependencies, ...optionalDependencies }), found)
  }
  return found
}
const [target] = process.argv.slice(2)
for (const name of packages(NATIVE))
  fs.cpSync(path.join('node_modules', name), path.join(target, name), { recursive: true, verbatimSymlinks: true })
