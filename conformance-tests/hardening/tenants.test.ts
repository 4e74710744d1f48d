/**
 * Tenants over HTTP: each at its own base URL, and to each other as if they were not there.
 *
 * https://hl7.org/fhir/R4/http.html#root
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Bundle, CapabilityStatement, Observation, Patient } from 'fhir/r4.js'
import { startTestServer, type TestServer } from '../../src/testing.js'

let server: TestServer
let home: string
let north: string
beforeAll(async () => {
  server = await startTestServer()
  home = server.baseUrl
  await server.site.addTenant({ name: 'north', title: 'The north' })
  north = home.replace(/\/fhir$/, '/t/north/fhir')
  await send('PUT', `${home}/Patient/grace`, { resourceType: 'Patient', id: 'grace', name: [{ family: 'Okello' }] })
})
afterAll(() => server.close())

type Answer = { status: number; headers: Record<string, string>; text: string; json<T>(): T }

async function send(method: string, url: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(body && { 'Content-Type': 'application/fhir+json' }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const { date: _, ...told } = Object.fromEntries(response.headers)
  return { status: response.status, headers: told, text, json: () => JSON.parse(text) }
}

const get = (url: string, headers?: Record<string, string>) => send('GET', url, undefined, headers)

/** Status, headers and body, with the ids that were asked for made equal. */
const bytes = ({ status, headers, text }: Answer, id: string) =>
  JSON.stringify({ status, headers, text }).replaceAll(id, 'ID')

describe('what another tenant holds is answered like what was never there', () => {
  const never = 'nobod'
  test.each([
    ['GET', (id: string) => `/Patient/${id}`],
    ['HEAD', (id: string) => `/Patient/${id}`],
    ['GET', (id: string) => `/Patient/${id}/_history`],
    ['GET', (id: string) => `/Patient/${id}/_history/1`],
    ['GET', (id: string) => `/Patient/${id}/$everything`],
    ['GET', (id: string) => `/Patient/${id}/Observation`],
    ['GET', (id: string) => `/Patient?_id=${id}&_total=accurate`],
    ['GET', (id: string) => `/Observation?patient=${id}`],
    ['DELETE', (id: string) => `/Patient/${id}`],
  ])('%s %s', async (method, path) => {
    const strip = (answer: Answer, id: string) =>
      bytes(answer, id)
        .replace(/"lastUpdated[^,]*,/g, '')
        .replace(/\\"id\\":\\"[^"]*\\"/, '')
    const foreign = strip(await send(method, north + path('grace')), 'grace')
    expect(foreign).toBe(strip(await send(method, north + path(never)), never))
    expect(foreign).not.toContain('Okello')
  })

  test('in searches, histories and conditions', async () => {
    expect((await get(`${north}/Patient?_summary=count`)).json<Bundle>().total).toBe(0)
    expect((await get(`${north}/_history`)).json<Bundle>().entry).toBeUndefined()
    const created = await send(
      'POST',
      `${north}/Patient`,
      { resourceType: 'Patient' },
      { 'If-None-Exist': '_id=grace' },
    )
    expect(created.status).toBe(201)
    await send('DELETE', `${north}/Patient/${created.json<Patient>().id}`)
  })

  test('the same id and the same Idempotency-Key are free', async () => {
    const key = { 'Idempotency-Key': 'one' }
    const first = await send('POST', `${home}/Basic`, { resourceType: 'Basic', code: { text: 'a' } }, key)
    const second = await send('POST', `${north}/Basic`, { resourceType: 'Basic', code: { text: 'b' } }, key)
    expect([first.status, second.status]).toEqual([201, 201])
    const put = await send('PUT', `${north}/Patient/ruth`, { resourceType: 'Patient', id: 'ruth' })
    expect([put.status, (await get(`${home}/Patient/ruth`)).status]).toEqual([201, 404])
  })
})

describe('links', () => {
  test('are written with the base of the tenant', async () => {
    const created = await send('POST', `${north}/Patient`, { resourceType: 'Patient' })
    expect(created.headers['location']).toBe(`${north}/Patient/${created.json<Patient>().id}/_history/1`)
    await send('POST', `${north}/Patient`, { resourceType: 'Patient' })
    const found = (await get(`${north}/Patient?_count=1`)).json<Bundle>()
    expect(found.link?.map(({ url }) => url.startsWith(`${north}/Patient?`))).not.toContain(false)
    expect(found.entry?.[0]?.fullUrl).toMatch(new RegExp(`^${north}/Patient/`))
    const batch = await send('POST', north, {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Patient' } }],
    })
    expect(batch.json<Bundle>().entry?.[0]?.response?.location).toMatch(/^Patient\//)
  })

  test('of a page work in their own tenant alone', async () => {
    for (let at = 0; at < 3; at++) await send('POST', `${home}/Patient`, { resourceType: 'Patient' })
    const first = (await get(`${home}/Patient?_count=1`)).json<Bundle>()
    const next = first.link?.find(({ relation }) => relation === 'next')?.url ?? ''
    expect((await get(next)).status).toBe(200)
    const taken = await get(next.replace(home, north))
    const nonsense = await get(`${north}/Patient?_page=nonsense`)
    expect([taken.status, taken.text]).toEqual([nonsense.status, nonsense.text])
  })

  test("the CapabilityStatement is the tenant's own", async () => {
    const capabilities = (await get(`${north}/metadata`)).json<CapabilityStatement>()
    expect(capabilities.implementation?.url).toBe(north)
    expect((await get(`${north}/metadata`)).text).not.toContain(`"${home}"`)
  })
})

describe('an absolute reference into another tenant', () => {
  test('is a reference elsewhere: kept as it is, found as it is, and nothing local', async () => {
    const subject = { reference: `${home}/Patient/grace` }
    const observation = { resourceType: 'Observation', status: 'final', code: { text: 'weight' }, subject }
    const created = await send('POST', `${north}/Observation`, observation)
    expect([created.status, created.json<Observation>().subject]).toEqual([201, subject])
    const total = async (query: string) =>
      (await get(`${north}/Observation?${query}&_total=accurate`)).json<Bundle>().total
    expect(await total(`subject=${encodeURIComponent(subject.reference)}`)).toBe(1)
    expect(await total('subject=Patient/grace')).toBe(0)
    expect(await total('subject:Patient.family=Okello')).toBe(0)
    const included = (await get(`${north}/Observation?_include=Observation:subject`)).json<Bundle>()
    expect(included.entry?.map(({ search }) => search?.mode)).toEqual(['match'])
    await send('DELETE', `${north}/Observation/${created.json<Observation>().id}`)
  })

  test('a relative one that only resolves there is refused', async () => {
    const observation = {
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: 'Patient/grace' },
    }
    const foreign = await send('POST', `${north}/Observation`, observation)
    const absent = await send('POST', `${north}/Observation`, {
      ...observation,
      subject: { reference: 'Patient/nobod' },
    })
    expect(foreign.status).toBeGreaterThanOrEqual(400)
    expect(bytes(foreign, 'grace')).toBe(bytes(absent, 'nobod'))
  })

  test('a batch entry does not reach over', async () => {
    const answer = await send('POST', north, {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ request: { method: 'GET', url: `${home}/Patient/grace` } }],
    })
    expect(answer.json<Bundle>().entry?.[0]?.response?.status).toMatch(/^4/)
    expect(answer.text).not.toContain('Okello')
  })
})

describe('a tenant there is not', () => {
  test.each([
    ['/t/nowhere/fhir/Patient'],
    ['/t/nowhere/fhir'],
    ['/t/nowhere/fhir/metadata'],
    ['/t/NORTH/fhir/Patient'],
    ['/t/n%6Frth/fhir/Patient'],
    ['/t/north%2Ffhir/Patient'],
    ['/t/north%00/fhir/Patient'],
    ['/t/-north/fhir/Patient'],
    [`/t/${'n'.repeat(64)}/fhir/Patient`],
    [`/t/${'n'.repeat(5000)}/fhir/Patient`],
    ['/t/default/fhir/Patient'],
    ['/t/__proto__/fhir/Patient'],
    ['/t/constructor/fhir/Patient'],
    ['/t//fhir/Patient'],
    ['/t/north'],
    ['/t/north/'],
    ['/t/north/fhirx/Patient'],
    ['/t/'],
  ])('%s is a page there is not', async (path) => {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']) {
      const elsewhere = await send(method, `${server.origin}/elsewhere`)
      expect({ method, ...plain(await send(method, server.origin + path)) }).toEqual({ method, ...plain(elsewhere) })
    }
    expect((await get(server.origin + path)).status).toBe(404)
  })

  const plain = ({ status, headers, text }: Answer) => ({ status, headers, text })
})

test('/metrics and /health do not tell tenants apart', async () => {
  await get(`${north}/Patient`)
  for (const path of ['/metrics', '/health']) expect((await get(server.origin + path)).text).not.toContain('north')
})
