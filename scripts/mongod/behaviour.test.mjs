/**
 * The stand-in against what a real server answered: `../shared/mongodb/behaviour.mjs` plays every recorded step.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startMongod } from './server.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const script = `${root}../shared/mongodb/behaviour.mjs`
const differences = JSON.parse(readFileSync(new URL('./differences.json', import.meta.url), 'utf8'))

/** Without the recordings there is nothing to compare with; the name says so in the report. */
const there = existsSync(script)
const described = there ? describe : describe.skip

described(`the recorded answers of a real server${there ? '' : ' (../shared/mongodb is not here)'}`, () => {
  let mongod
  beforeAll(async () => {
    mongod = await startMongod()
  })
  afterAll(() => mongod.close())

  test('are answered alike, except for what differences.json lists', async () => {
    const run = promisify(execFile)(process.execPath, [script, mongod.url], { cwd: root, maxBuffer: 2 ** 26 })
    // The script ends with 1 where something differs; what differs is in its output either way.
    const { stdout } = await run.catch((error) => error)
    const [, passed, failed] = /(\d+) passed, (\d+) failed/.exec(stdout)
    const found = {}
    for (const [, scenario, step] of stdout.matchAll(/^DIFF {2}(.*) · step (\d+)/gm)) {
      found[scenario] ??= []
      found[scenario].push(Number(step))
    }
    const listed = Object.fromEntries(Object.entries(differences).map(([scenario, { steps }]) => [scenario, steps]))
    expect(found).toEqual(listed)
    expect(Number(passed) + Number(failed)).toBeGreaterThanOrEqual(639)
  }, 120_000)
})
