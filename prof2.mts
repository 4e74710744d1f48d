import { monitorEventLoopDelay } from 'node:perf_hooks'
import { bundle } from './src/interactions/process-bundle.ts'
import { dispatchTo, world } from './src/interactions/testing.ts'
const c = await world({ includesMax: 10000 })
const N = 3000
const make = (type: string) => Array.from({ length: N }, (_, i) => ({ fullUrl: `urn:uuid:${type}-${i}`, resource: { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: `${type}-${i}` }], name: [{ family: 'x' + i }] }, request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:mrn|${type}-${i}` } }))
for (const [name, type, entry] of [['batch', 'batch', make('b')], ['tx', 'transaction', make('t')], ['tx again (all exist)', 'transaction', make('t')],
 ['tx observations by conditional ref to new', 'transaction', [...make('u'), ...Array.from({length: 2000}, (_, i) => ({ resource: { resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: `Patient?identifier=urn:mrn|u-${i}` } }, request: { method: 'POST', url: 'Observation' } }))]],
 ['tx conditional by name (no key)', 'transaction', make('v').slice(0, 1000).map((e, i) => ({ ...e, request: { ...e.request, ifNoneExist: `family:exact=z${i}` } }))],
] as any) {
  let commit = 0
  const d = monitorEventLoopDelay({ resolution: 2 }); d.enable()
  const t = performance.now()
  const a = await bundle(c, { resourceType: 'Bundle', type, entry }, dispatchTo(c))
  const ms = performance.now() - t; d.disable()
  const by: any = {}; for (const e of a.entries) by[e.status] = (by[e.status] ?? 0) + 1
  console.log(name, entry.length, Math.round(ms), 'ms', by, 'delay', Math.round(d.max / 1e6))
}
await c.close()
