/**
 * Requests that try to be understood in two ways: each is one request or none.
 *
 * https://datatracker.ietf.org/doc/html/rfc9112#section-11
 */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startTestServer, type TestServer } from '../../src/testing.js'

let server: TestServer
let host: string
beforeAll(async () => {
  server = await startTestServer()
  host = new URL(server.baseUrl).host
  await fetch(`${server.baseUrl}/Patient/grace`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/fhir+json' },
    body: '{"resourceType":"Patient","id":"grace"}',
  })
})
afterAll(() => server.close())

/** All that comes back on a connection until it is closed, or quiet for a while. */
function raw(text: string | Buffer, quietMs = 300): Promise<string> {
  const { hostname, port } = new URL(server.origin)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    const end = () => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(quietMs, end)
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
    socket.on('error', end)
    socket.on('close', end)
    socket.write(text)
  })
}

const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
const stillThere = async () => (await fetch(`${server.baseUrl}/Patient/grace`)).status === 200

const hidden = () => `DELETE /fhir/Patient/grace HTTP/1.1\r\nHost: ${host}\r\n\r\n`

describe('a request with two lengths carries no other one', () => {
  test.each([
    ['two Content-Length', 'Content-Length: 0\r\nContent-Length: 60'],
    ['a list of lengths', 'Content-Length: 0, 60'],
    ['a length and chunks', 'Content-Length: 0\r\nTransfer-Encoding: chunked'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 0'],
    ['chunks in disguise', 'Content-Length: 0\r\nTransfer-Encoding: xchunked'],
    ['chunks that are not last', 'Transfer-Encoding: chunked, identity'],
    ['two encodings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity'],
    ['a space before the colon', 'Content-Length : 60'],
    ['a tab before the colon', 'Transfer-Encoding\t: chunked'],
    ['a folded line', 'X-A: b\r\n Content-Length: 60'],
    ['a negative length', 'Content-Length: -1'],
    ['a length with a sign', 'Content-Length: +60'],
    ['a length in hexadecimal', 'Content-Length: 0x3c'],
    ['a very long length', `Content-Length: ${'9'.repeat(40)}`],
    ['a line that ends in CR alone', 'X-A: b\rContent-Length: 60'],
    ['NUL in a value', 'X-A: \0'],
  ])('%s', async (_, headers) => {
    const answer = await raw(`POST /fhir/Patient HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n\r\n${hidden()}`)
    expect(statuses(answer).length).toBeLessThanOrEqual(1)
    expect(statuses(answer).every((status) => status >= 400 && status < 500)).toBe(true)
    expect(await stillThere()).toBe(true)
  })

  test.each([
    ['a size that is no number', 'zz\r\nx\r\n0\r\n\r\n'],
    ['a size beyond all bounds', 'fffffffffffffffff\r\nx\r\n0\r\n\r\n'],
    ['data longer than its size', '1\r\nxyz\r\n0\r\n\r\n'],
  ])('chunks with %s', async (_, body) => {
    const head = `POST /fhir/Patient HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/fhir+json\r\n`
    const answer = await raw(`${head}Transfer-Encoding: chunked\r\n\r\n${body}${hidden()}`)
    expect(statuses(answer).every((status) => status === 400)).toBe(true)
    expect(await stillThere()).toBe(true)
  })

  test('trailers change nothing', async () => {
    const head = `POST /fhir/Patient HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/fhir+json\r\nTrailer: X-HTTP-Method-Override\r\n`
    const body = '{"resourceType":"Patient"}'
    const answer = await raw(
      `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nContent-Type: text/plain\r\n\r\n`,
    )
    expect(statuses(answer)).toEqual([201])
  })
})

describe('the method is the one of the request line', () => {
  test.each([['X-HTTP-Method-Override'], ['X-HTTP-Method'], ['X-Method-Override']])(
    'whatever %s says',
    async (name) => {
      const answer = await fetch(`${server.baseUrl}/Patient/grace`, { headers: { [name]: 'DELETE' } })
      expect([answer.status, await stillThere()]).toEqual([200, true])
    },
  )

  test('whatever a parameter or a form says', async () => {
    expect((await fetch(`${server.baseUrl}/Patient/grace?_method=DELETE`)).status).toBe(400)
    expect(await stillThere()).toBe(true)
  })

  test.each([
    ['TRACE /fhir/Patient/grace HTTP/1.1', [405]],
    ['CONNECT hospital.example:443 HTTP/1.1', []],
    ['get /fhir/Patient/grace HTTP/1.1', [400]],
    ['PROPFIND /fhir/Patient HTTP/1.1', [405]],
    ['GET /fhir/Patient/grace HTTP/9.9', [400]],
    ['GET /fhir/Patient/grace', [400]],
  ])('%s is answered %j', async (line, expected) => {
    const answer = await raw(`${line}\r\nHost: ${host}\r\nCookie: secret-cookie\r\n\r\n`)
    expect(statuses(answer)).toEqual(expected)
    expect(answer).not.toContain('secret-cookie')
  })
})

describe('Expect and Upgrade', () => {
  const post = (expectation: string, body: string) =>
    `POST /fhir/Patient HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/fhir+json\r\nExpect: ${expectation}\r\n` +
    `Content-Length: 26\r\nConnection: close\r\n\r\n${body}`

  test('100-continue is answered, then the request', async () => {
    expect(statuses(await raw(post('100-continue', '{"resourceType":"Patient"}')))).toEqual([100, 201])
  })

  test('any other expectation is 417', async () => {
    const answer = await raw(post('200-ok', '{"resourceType":"Patient"}'))
    expect(statuses(answer)).toEqual([417])
    expect(answer).toContain('OperationOutcome')
  })

  test.each([['h2c'], ['websocket']])('an upgrade to %s is a request like any other', async (protocol) => {
    const answer = await raw(
      `GET /fhir/metadata HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`,
    )
    expect(statuses(answer)).toEqual([200])
  })
})

describe('the host', () => {
  test.each([
    ['evil.example', 421],
    ['localhost.evil.example', 421],
    ['localhost', 421],
    ['', 421],
  ])('%s is %i', async (name, status) => {
    const answer = await raw(`GET /fhir/metadata HTTP/1.1\r\nHost: ${name}\r\nX-Forwarded-Host: ${host}\r\n\r\n`)
    expect(statuses(answer)).toEqual([status])
  })

  test('is named once', async () => {
    expect(statuses(await raw(`GET /fhir/metadata HTTP/1.1\r\n\r\n`))).toEqual([400])
    const answer = await raw(`GET /fhir/metadata HTTP/1.1\r\nHost: ${host}\r\nHost: evil.example\r\n\r\n`)
    expect(answer).not.toContain('evil.example')
  })

  test('of a forwarding header is in no link', async () => {
    const answer = await fetch(`${server.baseUrl}/Patient?_count=1`, {
      headers: { 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example', 'X-Forwarded-Proto': 'gopher' },
    })
    expect(await answer.text()).not.toMatch(/evil|gopher/)
  })
})

describe('a path', () => {
  test.each([
    ['/fhir/../health'],
    ['/fhir/..%2fhealth'],
    ['/fhir/%2e%2e/health'],
    ['/fhir/Patient/../../health'],
    ['/fhir\\Patient\\grace'],
    ['/fhir//Patient/grace'],
    ['//fhir/Patient/grace'],
    ['/fhir/./Patient/grace'],
    ['/fhir/Patient/grace%00'],
    ['/fhir/Patient/grace;x=1'],
    ['/fhir/Patient/grace%2f_history'],
    ['/FHIR/Patient/grace'],
    ['/fhir%2FPatient/grace'],
    ['/fhir/Patient/%67race/'],
    ['/etc/passwd'],
    ['/..%2f..%2fetc/passwd'],
    ['/node_modules/express/package.json'],
    ['/.git/config'],
    ['/.env'],
  ])('%s leads nowhere else', async (path) => {
    const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    expect(statuses(answer).every((status) => [200, 400, 404].includes(status))).toBe(true)
    // What is understood at all is the resource that was named, and nothing beside the base.
    if (statuses(answer)[0] === 200) expect(answer).toContain('"id":"grace"')
    expect(answer).not.toMatch(/root:|"status":"ok"|\bat .*\.(js|ts):\d+|node_modules/)
  })

  test.each([
    [() => `http://${host}/fhir/Patient/grace`, 200],
    [() => 'http://evil.example/fhir/Patient/grace', 200],
    [() => '*', 200],
    [() => '/fhir/Patient/grace#fragment', 404],
  ])('of another form: %s', async (target, status) => {
    const answer = await raw(`GET ${target()} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    expect(statuses(answer)).toEqual([status])
    expect(answer).not.toContain('evil')
  })
})
