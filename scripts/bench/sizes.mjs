/**
 * What docs/operating.md sizes a MongoDB by: bytes of BSON and of index keys a resource, of the files in a folder.
 *
 * node scripts/bench/sizes.mjs URL FOLDER [files]
 *
 * URL is of a MongoDB, real or not, and a database is made there and dropped. What a real server makes of it on disk, with
 * its compression, `db.Observation.stats()` says there; here the bytes before that are counted.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { BSON, MongoClient } from 'mongodb'

const [server, folder, files = '43'] = process.argv.slice(2)
const root = fileURLToPath(new URL('../..', import.meta.url))
const name = `sizes-${process.pid}`
const url = new URL(server)
url.pathname = `/${name}`
const client = new MongoClient(server)
const db = client.db(name)
const child = spawn(process.execPath, ['dist/main.js', 'serve'], {
  cwd: root,
  env: { ...process.env, STORE: url.href, PORT: '0', AUTH: 'off', LOG_LEVEL: 'error' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  const base = await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    child.stdout.on('data', (text) => {
      const [, found] = /answers at (\S+)/.exec(String(text)) ?? []
      if (found) resolve(found)
    })
  })
  const names = readdirSync(folder).filter((each) => each.endsWith('.json.gz'))
  for (const each of names.sort().slice(0, Number(files))) {
    const body = gunzipSync(readFileSync(join(folder, each)))
    const headers = { 'content-type': 'application/fhir+json', prefer: 'return=minimal' }
    const response = await fetch(base, { method: 'POST', headers, body })
    if (!response.ok) throw new Error(`${each}: ${response.status}`)
    await response.arrayBuffer()
  }
  await measure()
} finally {
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
  await db.dropDatabase()
  await client.close()
}

async function measure() {
  const sums = { resources: 0, bson: 0, body: 0, document: 0, entries: 0, keys: 0 }
  const print = (row) =>
    console.log(
      row
        .map((cell, i) =>
          String(cell)
            .padStart(i ? 10 : 0)
            .padEnd(i ? 0 : 28),
        )
        .join(' '),
    )
  print(['collection', 'documents', 'BSON', 'body', 'document', 'entries', 'key bytes'])
  const collections = await db.listCollections({}, { nameOnly: true }).toArray()
  for (const { name: each } of collections.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const collection = db.collection(each)
    const indexes = (await collection.indexes()).map(({ key }) => Object.keys(key))
    const own = { resources: 0, bson: 0, body: 0, document: 0, entries: 0, keys: 0 }
    for await (const document of collection.find({})) {
      own.resources++
      own.bson += BSON.calculateObjectSize(document)
      own.body += document.body?.length() ?? 0
      own.document += document.resource ? BSON.calculateObjectSize(document.resource) : 0
      for (const fields of indexes)
        for (const key of keysOf(document, fields)) {
          own.entries++
          own.keys += key
        }
    }
    if (!own.resources) continue
    const a = (sum) => Math.round(sum / own.resources)
    print([each, own.resources, a(own.bson), a(own.body), a(own.document), a(own.entries), a(own.keys)])
    if (/^[A-Z]\w+$/.test(each)) for (const part of Object.keys(sums)) sums[part] += own[part]
  }
  const a = (sum) => (sum / sums.resources).toFixed(1)
  print(['a resource', sums.resources, a(sums.bson), a(sums.body), a(sums.document), a(sums.entries), a(sums.keys)])
}

/** The bytes of each entry that a document has in an index: its values, and four of the place of the document. */
function keysOf(document, fields) {
  const tops = fields.map((field) => field.split('.'))
  const array = tops.map(([top]) => document[top]).find(Array.isArray)
  const rows = array ? (array.length ? array : [undefined]) : [undefined]
  return rows.map((element) =>
    tops.reduce((bytes, [top, inner]) => {
      const value = Array.isArray(document[top]) ? (inner ? element?.[inner] : element) : document[top]
      return bytes + sizeOf(value)
    }, 4),
  )
}

function sizeOf(value) {
  if (typeof value === 'string') return Buffer.byteLength(value) + 2
  if (typeof value === 'number') return 9
  return value ? 13 : 1
}
