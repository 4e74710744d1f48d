/**
 * The floors: the same work without FHIR. A bare handler over better-sqlite3, on node:http or Express 5.
 *
 * node scripts/bench/floor.mjs KIND DATABASE PORT, KIND one of `http`, `express` (as it comes), `express-fixed`
 * (without the setPrototypeOf that makes Express slow before Node 24, see ../shared/design/dependencies.md).
 * Durable like ours: WAL, synchronous=FULL, one commit each.
 */
import { createServer, IncomingMessage, ServerResponse } from 'node:http'
import Database from 'better-sqlite3'
import express from 'express'

const [kind, path, port] = process.argv.slice(2)
const database = new Database(path)
database.pragma('journal_mode = WAL')
database.pragma('synchronous = FULL')
database.exec(`
  CREATE TABLE IF NOT EXISTS resource (rid INTEGER PRIMARY KEY, type TEXT, id TEXT, body BLOB, UNIQUE (type, id));
  CREATE TABLE IF NOT EXISTS patient (patient TEXT, rid INTEGER, PRIMARY KEY (patient, rid)) WITHOUT ROWID;
`)
const readOne = database.prepare('SELECT body FROM resource WHERE type = ? AND id = ?').pluck()
const search = database
  .prepare('SELECT body FROM patient JOIN resource USING (rid) WHERE patient = ? ORDER BY rid LIMIT ?')
  .pluck()
const insertResource = database.prepare('INSERT INTO resource (type, id, body) VALUES (?, ?, ?)')
const insertPatient = database.prepare('INSERT INTO patient (patient, rid) VALUES (?, ?)')

const head = Buffer.from('{"resourceType":"Bundle","type":"searchset","entry":[')
const comma = Buffer.from(',')
const open = Buffer.from('{"resource":')
const close = Buffer.from('}')
const tail = Buffer.from(']}')

function read(type, id, response) {
  answer(response, 200, readOne.get(type, id))
}

function find(patient, count, response) {
  const pieces = [head]
  for (const body of search.all(patient, count))
    pieces.push(pieces.length > 1 ? comma : Buffer.alloc(0), open, body, close)
  answer(response, 200, Buffer.concat([...pieces, tail]))
}

let created = 0
function create(type, request, response) {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const resource = JSON.parse(Buffer.concat(chunks).toString())
    const id = `floor-${process.pid}-${created++}`
    const body = Buffer.from(JSON.stringify({ ...resource, id }))
    database.exec('BEGIN IMMEDIATE')
    const { lastInsertRowid } = insertResource.run(type, id, body)
    const patient = resource.subject?.reference ?? resource.patient?.reference
    if (patient) insertPatient.run(patient, lastInsertRowid)
    database.exec('COMMIT')
    answer(response, 201, body)
  })
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/fhir+json', 'content-length': body.length })
  response.end(body)
}

function bare(request, response) {
  const [pathname, query] = request.url.split('?')
  const [, , type, id] = pathname.split('/')
  if (request.method === 'POST') return create(type, request, response)
  if (id) return read(type, id, response)
  const parameters = new URLSearchParams(query)
  return find(`Patient/${parameters.get('patient')}`, Number(parameters.get('_count')), response)
}

function application() {
  const app = express()
  app.get('/fhir/:type/:id', (request, response) => read(request.params.type, request.params.id, response))
  app.get('/fhir/:type', (request, response) =>
    find(`Patient/${request.query.patient}`, Number(request.query._count), response),
  )
  app.post('/fhir/:type', (request, response) => create(request.params.type, request, response))
  return app
}

/** Express switches the prototypes of each request and response; given classes that carry them, it finds them switched. */
function fixed(app) {
  const describe = Object.getOwnPropertyDescriptors
  class Request extends IncomingMessage {}
  class Response extends ServerResponse {}
  Object.defineProperties(Request.prototype, describe(express.request))
  Object.defineProperties(Response.prototype, describe(express.response))
  Object.defineProperty(Request.prototype, 'app', { value: app, writable: true, configurable: true })
  Object.defineProperty(Response.prototype, 'app', { value: app, writable: true, configurable: true })
  app.request = Request.prototype
  app.response = Response.prototype
  return createServer({ IncomingMessage: Request, ServerResponse: Response }, app)
}

const server =
  kind === 'http' ? createServer(bare) : kind === 'express' ? createServer(application()) : fixed(application())
server.listen(Number(port), '127.0.0.1', () => console.log('ready'))
process.on('SIGTERM', () => process.exit(0))
