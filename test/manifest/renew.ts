/**
 * Writes what follows from the manifest and its schemas anew: the JSON Schemas beside them and the golden table of
 * capabilities. Look at the difference before committing it: a changed table is a change of authority.
 *
 *   node -r ts-node/register/transpile-only test/manifest/renew.ts
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { capabilityTable } from '../../kernel/manifest/index.ts'
import { writeSchemas } from '../../kernel/manifest/schema.ts'
import { loadReal } from './support.ts'

writeSchemas(join(__dirname, '../../kernel/manifest'))
writeFileSync(join(__dirname, 'capabilities.golden.txt'), capabilityTable(loadReal()))
