/**
 * `npm run conformance -- --base-url URL [PATTERN]`: the black-box suite against any FHIR R4 server.
 *
 * Without --base-url each test file starts a server of ours. A pattern narrows the files: `npm run conformance -- search`.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkNode, ensurePackages, root } from './prepare.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'base-url': { type: 'string' }, help: { type: 'boolean', short: 'h' } },
})
if (values.help) {
  console.log('npm run conformance -- [--base-url http://host/fhir] [PATTERN ...]')
  process.exit(0)
}
const baseUrl = values['base-url']?.replace(/\/+$/, '')
if (baseUrl !== undefined && !URL.canParse(baseUrl)) {
  console.error(`--base-url must be an absolute URL such as http://localhost:8080/fhir, and is ${baseUrl}.`)
  process.exit(2)
}
checkNode()
ensurePackages()
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--verbose',
    '--roots=conformance-tests',
    ...positionals,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...(baseUrl !== undefined && { BASE_URL: baseUrl }) } },
)
process.exit(status ?? 1)
