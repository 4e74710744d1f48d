/**
 * Nothing of a patient, and no secret, is in the log, in the metrics or in an answer that did not ask for it.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startTestServer, type TestServer } from '../../src/testing.js'

let folder: string
let server: TestServer
let log: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'log-'))
  log = join(folder, 'logs', 'server.log')
  server = await startTestServer({ LOG_FILE: log, LOG_LEVEL: 'debug' })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A word that is planted everywhere, and must be found nowhere. */
const marker = 'Zawadi-7391'
const resource = (more: object = {}) => ({ resourceType: 'Patient', id: marker, name: [{ family: marker }], ...more })
const bundle = (entry: object[]) => ({ resourceType: 'Bundle', type: 'transaction', entry })

const requests: [method: string, path: string, body?: unknown, type?: string][] = [
  ['PUT', `/Patient/${marker}`, resource()],
  ['PUT', `/Patient/${marker}`, resource({ gender: marker })],
  ['PUT', `/Patient/${marker}`, resource({ [marker]: marker })],
  ['PUT', `/Patient/${marker}`, `{"resourceType":"Patient","x":"${marker}`],
  ['PUT', `/Patient/${marker}`, `<Patient xmlns="${marker}"/>`, 'application/fhir+xml'],
  ['POST', '/Patient', { resourceType: marker }],
  ['POST', `/${marker}`, resource()],
  ['GET', `/Patient/${marker}`],
  ['GET', `/Patient/${marker}/_history/${marker}`],
  ['GET', `/Patient?name=${marker}`],
  ['GET', `/Patient?${marker}=${marker}`],
  ['GET', `/Patient?birthdate=${marker}`],
  ['GET', `/Patient?_page=${marker}`],
  ['GET', `/Patient?_sort=${marker}&_include=${marker}`],
  ['GET', `/Patient/${marker}/$everything?start=${marker}`],
  ['GET', `/$${marker}`],
  ['GET', `/${marker}/%E0%A4`],
  ['GET', `/../../${marker}`],
  ['POST', '/Patient/_search', `name=${marker}`, 'application/x-www-form-urlencoded'],
  [
    'POST',
    '/',
    bundle([{ resource: resource(), request: { method: 'POST', url: 'Patient', ifNoneExist: `name=${marker}` } }]),
  ],
  ['POST', '/', bundle([{ request: { method: marker, url: marker } }])],
  ['PATCH', `/Patient/${marker}`, [{ op: 'test', path: `/${marker}`, value: marker }], 'application/json-patch+json'],
  ['POST', '/Binary', marker, 'text/plain'],
  ['POST', '/Patient/$validate', resource({ birthDate: marker })],
  ['POST', '/Patient', marker, marker],
  ['DELETE', `/Patient?name=${marker}`],
  ['DELETE', `/Patient/${marker}`],
]

const headers = (type: string) => ({
  'Content-Type': type,
  Authorization: `Bearer ${marker}`,
  Cookie: `session=${marker}`,
  'X-Request-Id': marker,
  'If-None-Exist': `identifier=${marker}`,
  'If-None-Match': `W/"${marker}"`,
  'Idempotency-Key': `${marker}${Math.random()}`,
  Prefer: marker,
  Origin: `https://${marker}.example`,
  'User-Agent': marker,
  'X-Forwarded-For': marker,
  [marker]: marker,
})

async function askAll(): Promise<number[]> {
  const statuses: number[] = []
  for (const [method, path, body, type = 'application/fhir+json'] of requests) {
    const answer = await fetch(server.fhir + path, {
      method,
      headers: headers(type),
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    await answer.arrayBuffer()
    statuses.push(answer.status)
  }
  return statuses
}

async function expectNowhere(): Promise<void> {
  const lines = readFileSync(log, 'utf8')
  expect(lines.length).toBeGreaterThan(100)
  for (const text of [lines, await (await fetch(`${server.origin}/metrics`)).text()])
    expect(text.toLowerCase()).not.toContain(marker.toLowerCase())
}

describe('a word in bodies, URLs, headers and tokens is not in the log or the metrics', () => {
  test('whatever is asked', async () => {
    const statuses = await askAll()
    expect(statuses.filter((status) => status >= 500)).toEqual([])
    await expectNowhere()
  })

  test('when the request is not HTTP', async () => {
    const { hostname, port } = new URL(server.origin)
    for (const text of [`${marker}\r\n\r\n`, `GET /${marker} HTTP/1.1\r\n${marker}\r\n\r\n`])
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname)
        socket.on('error', () => resolve())
        socket.on('close', () => resolve())
        socket.resume().end(text)
      })
    await expectNowhere()
  })

  test('when the server itself fails, with an error that quotes what it was given', async () => {
    const { store } = (await server.site.world('default'))!.context
    const failing = () => {
      throw Object.assign(new TypeError(`cannot store ${marker}\n    at ${marker} (file:///x:1:1)`), {
        code: marker.padEnd(80),
        document: { name: marker },
        cause: new Error(marker),
      })
    }
    const { read, search, commit, history } = store
    Object.assign(store, { read: failing, search: failing, commit: failing, history: failing })
    const statuses = await askAll().finally(() => Object.assign(store, { read, search, commit, history }))
    expect(statuses.filter((status) => status === 500).length).toBeGreaterThan(5)
    await expectNowhere()
    const failures = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes('"level":50'))
    expect(JSON.parse(failures[0]!)).toMatchObject({
      msg: 'a request met an error of the server',
      reference: expect.any(String),
      err: { name: 'TypeError', stack: expect.arrayContaining([expect.stringContaining('log.test')]) },
    })
  })
})

test('an answer of a failing server names a reference and nothing of its inside', async () => {
  const { store } = (await server.site.world('default'))!.context
  const { read } = store
  Object.assign(store, { read: async () => Promise.reject(new Error(`${marker} at /srv/app/dist/store.js`)) })
  const answer = await fetch(`${server.fhir}/Patient/1`).finally(() => Object.assign(store, { read }))
  const text = await answer.text()
  expect(answer.status).toBe(500)
  expect(text).toMatch(/reference [\da-f-]{36}/)
  expect(text).not.toMatch(/Zawadi|\.js|\.ts|Error|node_modules/)
})
