import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { gunzipSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { isObject, type Json, parseJson, type Resource } from '../fhir/index.js'
import { bundle } from './process-bundle.js'
import { countOf, dispatchTo, world } from './testing.js'

const folder = new URL('../../../shared/data/synthea/', import.meta.url)
const load = (name: string) => parseJson(gunzipSync(readFileSync(new URL(name, folder)))) as Resource
/** The largest of the patients' bundles: 3,419 entries, 14,000 links, 1,590 references by search. */
const largest = 'e5a8d3f4-4484-ebfd-7404-d9f02c9fe6a6.json.gz'

const here = existsSync(new URL(largest, folder)) ? test : test.skip

here(
  'a Synthea bundle of 3,419 entries is stored in one commit, and others are not held up meanwhile',
  async () => {
    const context = await world()
    try {
      for (const name of readdirSync(folder).filter((each) => each.startsWith('0-'))) {
        const answer = await bundle(context, load(name), dispatchTo(context))
        expect(answer.entries.filter(({ status }) => status !== 201)).toEqual([])
      }
      const request = load(largest)
      const delay = monitorEventLoopDelay({ resolution: 2 })
      delay.enable()
      const began = performance.now()
      const { entries } = await bundle(context, request, dispatchTo(context))
      const took = performance.now() - began
      delay.disable()
      expect(entries).toHaveLength(3419)
      expect(new Set(entries.map(({ status }) => status))).toEqual(new Set([201]))
      for (const [type, count] of Object.entries(countsOf(request)))
        if (count <= 1000) expect([type, await countOf(context, type)]).toEqual([type, count])
      const max = delay.max / 1e6
      console.log(
        `3,419 entries in ${Math.round(took)} ms (${Math.round(3_419_000 / took)}/s), longest delay ${Math.round(max)} ms`,
      )
      // About 30 ms by itself; the bar is what a machine that runs all tests at once still keeps.
      expect(max).toBeLessThan(250)
    } finally {
      await context.close()
    }
  },
  120_000,
)

function countsOf({ entry }: Resource): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const each of entry as Json[]) {
    const resource = isObject(each) ? each['resource'] : undefined
    const type = isObject(resource) ? String(resource['resourceType']) : ''
    counts[type] = (counts[type] ?? 0) + 1
  }
  return counts
}
