/** What is refused, and the edges, over the real server: https://hl7.org/fhir/R4/http.html#Status-Codes */
import { connect } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import supertest from 'supertest'
import { api, expectOutcome, json, server } from './testing.js'

describe('refusals', () => {
  test('a method that has no meaning is 405 with Allow', async () => {
    const response = await api().delete('/metadata').expect(405)
    expect(response.headers['allow']).toBe('GET, HEAD, OPTIONS')
    expectOutcome(response, 'not-supported')
  })

  test.each([
    ['/Nothing', 404],
    ['/Patient/%E0%A4', 400],
    ['/Patient?name=%zz', 400],
    [`/Patient?name=${'x'.repeat(5000)}`, 414],
    [`/Patient/${'x'.repeat(65)}`, 404],
    ['/Patient/a%20b', 404],
  ])('GET %s is %i', async (path, status) => {
    const response = await fetch(server.fhir + path)
    expect(response.status).toBe(status)
    expect(((await response.json()) as { resourceType: string }).resourceType).toBe('OperationOutcome')
  })

  test.each([
    ['', 'needs a'],
    ['{', 'position'],
    ['{"resourceType":"Patient","resourceType":"Patient"}', 'twice'],
    ['{"resourceType":"Patient","__proto__":{}}', '__proto__'],
    ['[]', 'one resource'],
    ['null', 'one resource'],
    ['"Patient"', 'one resource'],
    ['{}', 'resourceType'],
    ['{"resourceType":7}', 'resourceType'],
    [`${'['.repeat(200)}${']'.repeat(200)}`, 'levels'],
  ])('the body %s is 400 and says why', async (body, said) => {
    const response = await api().post('/Patient').set('Content-Type', json).send(body).expect(400)
    expectOutcome(response)
    expect(response.body.issue[0].diagnostics).toContain(said)
  })

  test.each([['<a'], ['<Patient/>'], ['<!DOCTYPE x [<!ENTITY e "e">]><Patient xmlns="http://hl7.org/fhir"/>'], ['']])(
    'the XML body %s is 400',
    async (body) => {
      const response = await api()
        .post('/Patient')
        .set('Content-Type', 'application/fhir+xml')
        .set('Accept', json)
        .send(body)
      expect(response.status).toBe(400)
      expectOutcome(response)
    },
  )

  test('a body over the limit is refused while it is being sent', async () => {
    const declared = await api()
      .post('/Patient')
      .set('Content-Type', json)
      .send(`"${'x'.repeat(2_000_000)}"`)
    expect(declared.status).toBe(413)
    expectOutcome(declared, 'too-long')
    async function* endless() {
      for (let i = 0; i < 10_000; i++) yield Buffer.alloc(64 * 1024, 32)
    }
    const response = await fetch(`${server.fhir}/Patient`, {
      method: 'POST',
      headers: { 'Content-Type': json },
      body: endless() as never,
      duplex: 'half',
    } as RequestInit)
    expect(response.status).toBe(413)
  })

  test.each([
    ['NOT HTTP AT ALL\r\n\r\n', '400'],
    ['GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n', '400'],
    [`GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(200_000)}\r\n\r\n`, '431'],
    ['GET /fhir/Patient HTTP/1.1\r\nHost: evil.example\r\n\r\n', '421'],
    [
      'POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
  ])('%j is answered on the bare connection', async (text, status) => {
    expect(await raw(text.replace('Host: localhost', `Host: ${new URL(server.baseUrl).host}`))).toMatch(
      new RegExp(`^HTTP/1.1 ${status} `),
    )
  })

  test('requests sent ahead are answered in their order', async () => {
    const host = new URL(server.baseUrl).host
    const get = (path: string, more = '') => `GET /fhir${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
    const text = await raw(
      get('/Patient/never-1') + get('/metadata') + get('/Patient/never-2', 'Connection: close\r\n'),
    )
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['404', '200', '404'])
  })
})

function raw(text: string): Promise<string> {
  const { hostname, port } = new URL(server.origin)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    const end = () => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1500, end)
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', end)
    socket.on('close', end)
    socket.write(text)
  })
}

describe('around the edges', () => {
  test('X-Request-Id comes back, and an unfit one does not', async () => {
    expect((await api().get('/metadata').set('X-Request-Id', 'abc-1')).headers['x-request-id']).toBe('abc-1')
    expect((await api().get('/metadata').set('X-Request-Id', 'a b')).headers['x-request-id']).not.toBe('a b')
  })

  test('OPTIONS says what is allowed, and CORS is for the origins in the settings', async () => {
    const options = await api().options('/Patient/1').set('Origin', 'https://app.example').expect(204)
    expect(options.headers['allow']).toBe('GET, HEAD, PUT, PATCH, DELETE, OPTIONS')
    expect(options.headers['access-control-allow-origin']).toBe('https://app.example')
    expect(options.headers['access-control-allow-headers']).toContain('If-Match')
    for (const stranger of [
      'https://stranger.example',
      'https://app.example.evil',
      'null',
      'https://app.example:8443',
    ]) {
      const refused = await api().get('/Patient').set('Origin', stranger).expect(200)
      expect(refused.headers['access-control-allow-origin']).toBeUndefined()
      // SMART wants the CapabilityStatement open to every page: it says nothing of a patient.
      const open = await api().get('/metadata').set('Origin', stranger).expect(200)
      expect(open.headers['access-control-allow-origin']).toBe(stranger)
      expect(open.headers['access-control-allow-credentials']).toBeUndefined()
    }
  })

  test('pages, health and metrics are beside the base', async () => {
    const root = supertest(server.origin)
    expect((await root.get('/').expect(200)).text).toContain(server.baseUrl)
    expect((await root.get('/health').expect(200)).body).toEqual({ status: 'ok' })
    expect((await root.get('/metrics').expect(200)).text).toContain('hospitallink_request_seconds_bucket')
    await root.get('/fhirx').expect(404)
    await root.get('/elsewhere').expect(404)
  })
})
