/** What is not known here is asked of the terminology server of the settings, and of nobody when there is none. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import supertest from 'supertest'
import { startTestServer, type TestServer } from './testing.js'

const system = 'http://acme.example/colours'
const url = 'http://acme.example/ValueSet/warm'
let elsewhere: Server
let asked: string[] = []
let isDown = false
let server: TestServer

const answers: Record<string, object> = {
  'ValueSet/$expand': {
    resourceType: 'ValueSet',
    status: 'active',
    url,
    expansion: { timestamp: '2026-01-01', contains: [{ system, code: 'red', display: 'Red' }] },
  },
  'CodeSystem/$lookup': {
    resourceType: 'Parameters',
    parameter: [
      { name: 'name', valueString: 'Colours' },
      { name: 'display', valueString: 'Red' },
    ],
  },
}

beforeAll(async () => {
  elsewhere = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    asked.push(`${pathname} ${searchParams.get('url') ?? searchParams.get('code')}`)
    const body = answers[pathname.replace('/r4/', '')]
    const isKnown = [url, 'red'].includes(searchParams.get('url') ?? searchParams.get('code') ?? '')
    response.writeHead(isDown ? 500 : body && isKnown ? 200 : 404, { 'Content-Type': 'application/fhir+json' })
    response.end(JSON.stringify(isKnown ? body : { resourceType: 'OperationOutcome' }))
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
  server = await startTestServer({ TERMINOLOGY_SERVER: `${origin}/r4`, OUTBOUND_ALLOW: origin })
})
afterAll(async () => {
  await server.close()
  elsewhere.closeAllConnections()
  elsewhere.close()
})

const get = (path: string) => supertest(server.fhir).get(path)

test('a value set that is not known here is expanded elsewhere, once in a while', async () => {
  for (let i = 0; i < 2; i++) {
    const { body } = await get(`/ValueSet/$expand?url=${encodeURIComponent(url)}`).expect(200)
    expect(body.expansion.contains).toMatchObject([{ system, code: 'red' }])
  }
  expect(asked).toEqual([`/r4/ValueSet/$expand ${url}`])
})

test('a search is by what it says', async () => {
  const basic = { resourceType: 'Basic', code: { coding: [{ system, code: 'red' }] } }
  await supertest(server.fhir).post('/Basic').set('Content-Type', 'application/fhir+json').send(basic).expect(201)
  const { body } = await get(`/Basic?code:in=${url}`).expect(200)
  expect(body.entry).toHaveLength(1)
})

test('a code that is not known here is looked up elsewhere', async () => {
  const { body } = await get(`/CodeSystem/$lookup?system=${encodeURIComponent(system)}&code=red`).expect(200)
  expect(body.parameter).toContainEqual({ name: 'display', valueString: 'Red' })
})

test('what is known here is asked of nobody', async () => {
  asked = []
  await get('/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender').expect(200)
  expect(asked).toEqual([])
})

test('what nobody knows is 404, and where nobody can be asked it is 503', async () => {
  await get('/ValueSet/$expand?url=http://acme.example/ValueSet/none').expect(404)
  isDown = true
  const { body } = await get('/ValueSet/$expand?url=http://acme.example/ValueSet/other').expect(503)
  expect(body.resourceType).toBe('OperationOutcome')
  isDown = false
})
