/**
 * `npm test`: installs what is missing, then checks types, lint and all tests, and ends with a line that counts them.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkNode, ensureBuild, ensurePackages, root } from './prepare.mjs'

checkNode()
ensurePackages()
ensureBuild()

const folder = mkdtempSync(join(tmpdir(), 'hospitallink-test-'))
const summary = join(folder, 'jest.json')
const module = (path) => join(root, 'node_modules', path)

// Each worker holds the definitions and a store; more than four gain nothing and cost memory.
const workers = Math.max(1, Math.min(4, availableParallelism()))
const steps = [
  ['types', [module('typescript/bin/tsc'), '-p', 'tsconfig.json', '--noEmit']],
  ['lint', [module('@biomejs/biome/bin/biome'), 'check', '.']],
  [
    'tests',
    [
      '--experimental-vm-modules',
      '--no-warnings',
      module('jest/bin/jest.js'),
      `--maxWorkers=${workers}`,
      '--json',
      `--outputFile=${summary}`,
      ...process.argv.slice(2),
    ],
  ],
]

const failed = steps.filter(([name, parameters]) => {
  console.log(`\n== ${name}`)
  // Jest writes its JSON to the file and what people read to stderr.
  const { status } = spawnSync(process.execPath, parameters, {
    cwd: root,
    stdio: ['inherit', name === 'tests' ? 'ignore' : 'inherit', 'inherit'],
  })
  return status !== 0
})

console.log('')
for (const [name] of failed) console.log(`${name}: failed`)
const counts = existsSync(summary) ? JSON.parse(readFileSync(summary, 'utf8')) : undefined
rmSync(folder, { recursive: true, force: true })
const others = failed.filter(([name]) => name !== 'tests').length
// A file that cannot be loaded has no tests to count and is a failure all the same.
const broken = counts ? counts.numFailedTests + counts.numRuntimeErrorTestSuites : 1
const skipped = counts?.numPendingTests ? `, ${counts.numPendingTests} skipped` : ''
console.log(`${counts?.numPassedTests ?? 0} passed, ${broken + others} failed${skipped}`)
process.exit(failed.length ? 1 : 0)
