import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { filesOf, load, Unreachable } from './load.js'

type Request = { method: string; path: string; body: string; authorization: string | undefined }

let folder: string
let server: Server
let to: string
let requests: Request[]
/** What the server answers; by default that everything is well. */
let answer: (request: Request, response: ServerResponse) => void

const well = ({ path, body }: Request, response: ServerResponse) => {
  if (path !== '/fhir') return response.writeHead(201).end()
  const { entry } = JSON.parse(body) as { entry: unknown[] }
  return response.end(
    JSON.stringify({ resourceType: 'Bundle', entry: entry.map(() => ({ response: { status: '201 Created' } })) }),
  )
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'load-'))
  requests = []
  answer = well
  server = createServer(async (incoming: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const request = {
      method: incoming.method!,
      path: incoming.url!,
      body: Buffer.concat(chunks).toString(),
      authorization: incoming.headers.authorization,
    }
    requests.push(request)
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  to = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir`
})

afterEach(async () => {
  await new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  })
  rmSync(folder, { recursive: true, force: true })
})

const put = (name: string, content: string | Buffer): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const bundle = (...types: string[]) =>
  JSON.stringify({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: types.map((resourceType) => ({ resource: { resourceType } })),
  })

test('files named 0-* go first and by themselves, the others in order of their names', async () => {
  put('b.json', bundle('Patient'))
  put('0-hospital.json', bundle('Organization'))
  put('a.json.gz', gzipSync(bundle('Patient', 'Observation')))
  put('manifest.json', '{"files":[]}')
  put('notes.txt', 'not ours')
  const loaded = await load([folder], { to, jobs: 1 })
  expect(requests.map(({ body }) => JSON.parse(body).entry[0].resource.resourceType)).toEqual([
    'Organization',
    'Patient',
    'Patient',
  ])
  expect(loaded).toEqual({
    files: 3,
    counts: { Organization: 1, Patient: 2, Observation: 1 },
    failures: [],
    skipped: [join(folder, 'manifest.json')],
  })
})

test('folders are read to their depths, files as they are named', () => {
  mkdirSync(join(folder, 'deep'))
  const deep = put('deep/x.ndjson', '')
  const { rest, named } = filesOf([folder, deep])
  expect(rest).toEqual([deep, deep])
  expect([...named]).toEqual([deep])
})

test('a resource with an id is PUT, without one POSTed, with the bytes of the file', async () => {
  const text = '{"resourceType":"Observation","id":"o1","valueQuantity":{"value":1.00}}'
  await load([put('a.json', text), put('b.json', '{"resourceType":"Patient"}')], { to, jobs: 1, token: 'secret' })
  expect(requests).toEqual([
    { method: 'PUT', path: '/fhir/Observation/o1', body: text, authorization: 'Bearer secret' },
    { method: 'POST', path: '/fhir/Patient', body: '{"resourceType":"Patient"}', authorization: 'Bearer secret' },
  ])
})

test('XML is loaded with the same content', async () => {
  await load([put('a.xml', '<Patient xmlns="http://hl7.org/fhir"><id value="x"/><active value="true"/></Patient>')], {
    to,
    jobs: 1,
  })
  expect(requests).toMatchObject([
    { method: 'PUT', path: '/fhir/Patient/x', body: '{"resourceType":"Patient","id":"x","active":true}' },
  ])
})

test('NDJSON goes in batches, and keeps the digits of decimals', async () => {
  const lines = Array.from(
    { length: 450 },
    (_, i) => `{"resourceType":"Basic","id":"b${i}","extension":[{"url":"u","valueDecimal":1.00}]}`,
  )
  const loaded = await load([put('a.ndjson.gz', gzipSync(`${lines.join('\n')}\n`))], { to, jobs: 2 })
  expect(requests.map(({ body }) => JSON.parse(body).entry.length)).toEqual([200, 200, 50])
  expect(requests[0]!.body).toContain('"valueDecimal":1.00')
  expect(requests[0]!.body).toContain('"request":{"method":"PUT","url":"Basic/b0"}')
  expect(loaded.counts).toEqual({ Basic: 450 })
})

test('what is refused is listed with the reason, and the rest is loaded', async () => {
  const bad = put('bad.json', bundle('Patient'))
  const broken = put('broken.json', '{')
  put('good.json', bundle('Encounter'))
  answer = (request, response) => {
    if (!request.body.includes('Patient')) well(request, response)
    else
      response
        .writeHead(422)
        .end(JSON.stringify({ issue: [{ diagnostics: 'no good', expression: ['Bundle.entry[0]'] }] }))
  }
  const loaded = await load([folder], { to, jobs: 2 })
  expect(loaded.counts).toEqual({ Encounter: 1 })
  expect(loaded.failures).toEqual(
    expect.arrayContaining([
      { file: bad, reason: '422: Bundle.entry[0]: no good' },
      { file: broken, reason: expect.stringContaining('position 1') },
    ]),
  )
})

test('what came before what it refers to is tried again', async () => {
  put('a.json', '{"resourceType":"Observation","id":"o"}')
  put('b.json', '{"resourceType":"Patient","id":"p"}')
  answer = ({ path }, response) => {
    const there = requests.some((request) => request.path.endsWith('/Patient/p'))
    response.writeHead(path.endsWith('/Observation/o') && !there ? 422 : 201).end('{}')
  }
  const loaded = await load([folder], { to, jobs: 1 })
  expect(requests.map(({ path }) => path)).toEqual(['/fhir/Observation/o', '/fhir/Patient/p', '/fhir/Observation/o'])
  expect(loaded).toMatchObject({ counts: { Observation: 1, Patient: 1 }, failures: [] })
})

test('a server that is busy is asked again when it says so', async () => {
  answer = (request, response) => {
    if (requests.length === 1) response.writeHead(429, { 'Retry-After': '0.01' }).end()
    else well(request, response)
  }
  const loaded = await load([put('a.json', bundle('Patient'))], { to, jobs: 1 })
  expect(requests).toHaveLength(2)
  expect(loaded.counts).toEqual({ Patient: 1 })
})

test('no server is said in a sentence', async () => {
  const path = put('a.json', bundle('Patient'))
  const refused = load([path], { to: 'http://127.0.0.1:1/fhir', jobs: 1 })
  await expect(refused).rejects.toThrow(Unreachable)
  await expect(refused).rejects.toThrow('No server answers at http://127.0.0.1:1/fhir. Start one with "npm start"')
})
