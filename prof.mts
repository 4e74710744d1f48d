import { readdirSync, readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { gunzipSync } from 'node:zlib'
import { parseJson, type Resource } from '/tmp/w/interactions/src/fhir/index.ts'
import { bundle } from '/tmp/w/interactions/src/interactions/process-bundle.ts'
import { dispatchTo, world } from '/tmp/w/interactions/src/interactions/testing.ts'
const folder = '/work/shared/data/synthea/'
const load = (n: string) => parseJson(gunzipSync(readFileSync(folder + n))) as Resource
const c = await world({ includesMax: 10000 })
let commitMs = 0
const original = c.store.commit.bind(c.store)
;(c.store as any).commit = async (x: any) => { const t = performance.now(); try { return await original(x) } finally { commitMs += performance.now() - t } }
for (const n of readdirSync(folder).filter((x) => x.startsWith('0-'))) { const t = performance.now(); const a = await bundle(c, load(n), dispatchTo(c)); console.log(n, a.entries.length, Math.round(performance.now() - t)) }
const files = process.argv.slice(2)
for (const f of files) {
  const r = load(f)
  const d = monitorEventLoopDelay({ resolution: 2 }); d.enable()
  commitMs = 0
  const t = performance.now(); const cpu = process.cpuUsage()
  const { entries } = await bundle(c, r, dispatchTo(c))
  const ms = performance.now() - t; const u = process.cpuUsage(cpu)
  d.disable()
  console.log(f.slice(0, 8), entries.length, 'ms', Math.round(ms), 'cpu', Math.round((u.user + u.system) / 1000), 'commit', Math.round(commitMs), 'per s', Math.round(entries.length / ms * 1000), 'max delay', Math.round(d.max / 1e6))
}
await c.close()
