import { Session } from 'node:inspector/promises'
import { writeFileSync } from 'node:fs'
import { bundle } from './src/interactions/process-bundle.ts'
import { dispatchTo, world } from './src/interactions/testing.ts'
const c = await world({ includesMax: 10000 })
const N = 3000
const make = (type: string) => Array.from({ length: N }, (_, i) => ({ fullUrl: `urn:uuid:${type}-${i}`, resource: { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: `${type}-${i}` }], name: [{ family: 'x' + i }] }, request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:mrn|${type}-${i}` } }))
// a ticker that records gaps
const gaps: [number, number][] = []
let last = performance.now(); let on = true
const tick = () => { const n = performance.now(); if (n - last > 50) gaps.push([last, n]); last = n; if (on) setImmediate(tick) }
const calls: [string, number, number][] = []
for (const name of ['search', 'read'] as const) { const o = (c.store as any)[name].bind(c.store); (c.store as any)[name] = (...a: any[]) => { const t = performance.now(); const r = o(...a); const e = performance.now(); if (e - t > 10) calls.push([name, t, e]); return r } }
tick()
await bundle(c, { resourceType: 'Bundle', type: process.argv[2], entry: make('b') } as any, dispatchTo(c))
on = false
console.log('gaps', gaps.map(([a, b]) => [Math.round(a), Math.round(b - a)]).join(' | '))
console.log('slow calls', calls.map(([n, a, b]) => [n, Math.round(a), Math.round(b - a)]).join(' | '))
await c.close()
