/**
 * `npm test`: installs what is missing, then checks types, lint and all tests, and ends with a line that counts them.
 *
 * The black-box suite runs twice, on the embedded store and on MongoDB: the one at MONGODB_URL, or the stand-in.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkNode, ensureBuild, ensurePackages, root } from './prepare.mjs'

checkNode()
ensurePackages()
ensureBuild()

const folder = mkdtempSync(join(tmpdir(), 'hospitallink-test-'))
const module = (path) => join(root, 'node_modules', path)

// Each worker holds the definitions and a store; more than four gain nothing and cost memory.
const workers = Math.max(1, Math.min(4, availableParallelism()))
const jest = (outputFile) => [
  '--experimental-vm-modules',
  '--no-warnings',
  module('jest/bin/jest.js'),
  `--maxWorkers=${workers}`,
  '--json',
  `--outputFile=${outputFile}`,
]
const given = process.argv.slice(2)
const summaries = [join(folder, 'all.json'), join(folder, 'mongodb.json')]
const steps = [
  ['types', [module('typescript/bin/tsc'), '-p', 'tsconfig.json', '--noEmit']],
  ['lint', [module('@biomejs/biome/bin/biome'), 'check', '.']],
  ['tests', [...jest(summaries[0]), ...given]],
]
const failed = steps.filter(([name, parameters]) => !passes(name, parameters)).map(([name]) => name)
if (given.length === 0 && !(await blackBoxOnMongo())) failed.push('tests on MongoDB')

function passes(name, parameters, environment = {}) {
  console.log(`\n== ${name}`)
  // Jest writes its JSON to the file and what people read to stderr.
  const { status } = spawnSync(process.execPath, parameters, {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['inherit', name.startsWith('tests') ? 'ignore' : 'inherit', 'inherit'],
  })
  return status === 0
}

async function blackBoxOnMongo() {
  const mongod = process.env.MONGODB_URL ? undefined : await standIn()
  const url = process.env.MONGODB_URL ?? mongod.url
  console.log(
    `\nThe black-box suite on ${mongod ? 'the stand-in for MongoDB (scripts/mongod)' : 'the MongoDB of MONGODB_URL'}`,
  )
  const parameters = [...jest(summaries[1]), 'conformance-tests/', '--testPathIgnorePatterns', 'official/']
  const green = passes('tests on MongoDB', parameters, { TEST_STORE: url })
  mongod?.child.kill()
  return green
}

/** In a process of its own, because the tests wait for theirs. */
function standIn() {
  const child = spawn(process.execPath, [join(root, 'scripts/mongod.mjs'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the stand-in for MongoDB ended with ${code}`)))
    child.stdout.on('data', (text) => {
      const url = /mongodb:\/\/\S+/.exec(text)?.[0]
      if (url) resolve({ child, url })
    })
  })
}

console.log('')
for (const name of failed) console.log(`${name}: failed`)
const counts = summaries.filter((path) => existsSync(path)).map((path) => JSON.parse(readFileSync(path, 'utf8')))
rmSync(folder, { recursive: true, force: true })
const sum = (name) => counts.reduce((total, count) => total + count[name], 0)
// A file that cannot be loaded has no tests to count and is a failure all the same; so is a step that is no test.
const broken = sum('numFailedTests') + sum('numRuntimeErrorTestSuites')
const skipped = sum('numPendingTests') ? `, ${sum('numPendingTests')} skipped` : ''
console.log(`${sum('numPassedTests')} passed, ${Math.max(broken, failed.length)} failed${skipped}`)
process.exit(failed.length ? 1 : 0)
