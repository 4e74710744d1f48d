import { Session } from 'node:inspector/promises'
import { bundle } from './src/interactions/process-bundle.ts'
import { dispatchTo, world } from './src/interactions/testing.ts'
const c = await world({ includesMax: 10000 })
const N = 3000
const make = (type: string) => Array.from({ length: N }, (_, i) => ({ fullUrl: `urn:uuid:${type}-${i}`, resource: { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: `${type}-${i}` }], name: [{ family: 'x' + i }] }, request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:mrn|${type}-${i}` } }))
const s = new Session(); s.connect(); await s.post('Profiler.enable'); await s.post('Profiler.setSamplingInterval', { interval: 500 }); await s.post('Profiler.start')
const gaps: [number, number][] = []
let last = performance.now(); let on = true
const t0us = process.hrtime.bigint() / 1000n
const now = () => Number(process.hrtime.bigint() / 1000n)
let l = now()
const tick = () => { const n = now(); if (n - l > 80000) gaps.push([l, n]); l = n; if (on) setImmediate(tick) }
tick()
await bundle(c, { resourceType: 'Bundle', type: process.argv[2], entry: make('b') } as any, dispatchTo(c))
on = false
const { profile } = await s.post('Profiler.stop') as any
const byId = new Map(profile.nodes.map((n: any) => [n.id, n])); const parent = new Map(); for (const n of profile.nodes) for (const k of n.children ?? []) parent.set(k, n)
const name = (n: any) => n.callFrame.functionName + ':' + n.callFrame.url.split('/').pop()
for (const [a, b] of gaps) {
  let t = profile.startTime; const top = new Map<string, number>()
  profile.samples.forEach((id: number, i: number) => { t += profile.timeDeltas[i]; if (t < a || t > b) return; let n: any = byId.get(id); const seen = new Set(); while (n) { const k = name(n); if (!seen.has(k)) { seen.add(k); top.set(k, (top.get(k) ?? 0) + profile.timeDeltas[i] / 1000) } n = parent.get(n.id) } })
  console.log(Math.round((b - a) / 1000), [...top].sort((x, y) => y[1] - x[1]).slice(0, 14).map(([k, v]) => `${k} ${v.toFixed(0)}`).join(', '))
}
await c.close()
