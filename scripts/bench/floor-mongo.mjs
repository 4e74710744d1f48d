/**
 * The floor for MongoDB: the same work without FHIR, plain calls of the driver behind node:http, on the same server.
 *
 * node scripts/bench/floor-mongo.mjs URL PORT
 *
 * Durable like ours: majority and journal. A bundle is one bulkWrite of the documents a type, without a transaction.
 */
import { createServer } from 'node:http'
import { MongoClient } from 'mongodb'

const [url, port] = process.argv.slice(2)
const client = new MongoClient(url, {
  writeConcern: { w: 'majority', journal: true },
  readConcern: { level: 'majority' },
})
const db = client.db()
for (const type of ['Patient', 'Encounter', 'Observation'])
  await db.collection(type).createIndex({ patient: 1, _id: 1 })

const head = Buffer.from('{"resourceType":"Bundle","type":"searchset","entry":[')
const tail = Buffer.from(']}')
const comma = Buffer.from(',')
const open = Buffer.from('{"resource":')
const close = Buffer.from('}')
const options = { projection: { _id: 0, body: 1 }, promoteBuffers: true }

async function read(type, id, response) {
  const { body } = await db.collection(type).findOne({ _id: id }, options)
  answer(response, 200, body)
}

async function find(type, patient, count, response) {
  const found = await db.collection(type).find({ patient }, options).limit(count).toArray()
  const pieces = [head]
  for (const { body } of found) pieces.push(pieces.length > 1 ? comma : Buffer.alloc(0), open, body, close)
  answer(response, 200, Buffer.concat([...pieces, tail]))
}

/** The bytes, the same as a document, and what it is found by. */
const documentOf = (resource) => ({
  _id: resource.id,
  patient: resource.subject?.reference ?? null,
  body: Buffer.from(JSON.stringify(resource)),
  resource,
})

let created = 0
async function create(type, resource, response) {
  const document = documentOf({ ...resource, id: `floor-${process.pid}-${created++}` })
  await db.collection(type).insertOne(document)
  answer(response, 201, document.body)
}

async function store({ entry }, response) {
  const byType = new Map()
  for (const { resource } of entry) {
    const statements = byType.get(resource.resourceType) ?? []
    statements.push({ insertOne: { document: documentOf(resource) } })
    byType.set(resource.resourceType, statements)
  }
  for (const [type, statements] of byType) await db.collection(type).bulkWrite(statements, { ordered: false })
  answer(response, 200, Buffer.from('{"resourceType":"Bundle","type":"transaction-response"}'))
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/fhir+json', 'content-length': body.length })
  response.end(body)
}

function bodyOf(request) {
  return new Promise((resolve) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())))
  })
}

async function handle(request, response) {
  const [pathname, query] = request.url.split('?')
  const [, , type, id] = pathname.split('/')
  if (request.method === 'POST') {
    const body = await bodyOf(request)
    return type ? create(type, body, response) : store(body, response)
  }
  if (id) return read(type, id, response)
  const parameters = new URLSearchParams(query)
  return find(type, `Patient/${parameters.get('patient')}`, Number(parameters.get('_count')), response)
}

const server = createServer((request, response) =>
  handle(request, response).catch((error) => answer(response, 500, Buffer.from(String(error)))),
)
server.listen(Number(port), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
