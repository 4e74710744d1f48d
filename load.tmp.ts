import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { startTestServer } from '/tmp/w/mongo/src/testing.js'
const folder = '/work/shared/data/synthea/'
const names = readdirSync(folder).filter(n => n.endsWith('.gz')).sort().filter(n => !process.env['ONLY'] || n.startsWith('0-') || n.startsWith(process.env['ONLY']!))
const server = await startTestServer({ AUTH: 'off', ...(process.env['MORE'] ? JSON.parse(process.env['MORE']) : {}) })
const began = Date.now()
const counts: Record<string, number> = {}
let n = 0
for (const name of names) {
  const text = gunzipSync(readFileSync(folder + name)).toString()
  const b = JSON.parse(text)
  const t = Date.now()
  const r = await fetch(server.fhir, { method: 'POST', headers: { 'content-type': 'application/fhir+json' }, body: text })
  const a = await r.text()
  const took = Date.now() - t
  if (r.status !== 200) { console.log(name, b.entry.length, r.status, a.slice(0, 300)); continue }
  if (took > 3000) console.log(name, b.entry.length, Math.round(text.length/1e6), 'MB', took, 'ms')
  for (const e of b.entry) counts[e.resource.resourceType] = (counts[e.resource.resourceType] ?? 0) + 1
  n += b.entry.length
}
console.log(n, 'resources', (Date.now() - began) / 1000, 's', Math.round(n / (Date.now() - began) * 1000), '/s')
let bad = 0
for (const [type, c] of Object.entries(counts)) {
  const r = await fetch(`${server.fhir}/${type}?_summary=count`)
  const total = ((await r.json()) as any).total
  if (total !== c) { bad++; console.log(type, c, total) }
}
console.log(bad ? 'counts differ' : 'counts equal')
await server.close()
