/**
 * How requests and answers are written: formats, Prefer, compression, and what is refused.
 *
 * https://hl7.org/fhir/R4/http.html#mime-type
 */
import { describe, expect, test } from '@jest/globals'
import type { Patient } from 'fhir/r4.js'
import { baseUrl, created, expectOutcome, get, post, put, resourceIn, send, unique } from '../server.js'

const patient = (): Patient => ({ resourceType: 'Patient', name: [{ family: unique('Family') }] })

describe('formats', () => {
  test.each([
    [{ accept: 'application/fhir+json' }, '', 'application/fhir+json'],
    [{ accept: 'application/json' }, '', 'json'],
    [{ accept: 'application/fhir+xml' }, '', 'application/fhir+xml'],
    [{ accept: 'text/xml' }, '', 'xml'],
    [{ accept: 'application/fhir+xml;q=0.5, application/fhir+json' }, '', 'application/fhir+json'],
    [{ accept: '*/*' }, '', 'application/fhir+json'],
    [{ accept: 'application/fhir+json; fhirVersion=4.0' }, '', 'application/fhir+json'],
    [{ accept: 'application/fhir+json' }, '?_format=xml', 'application/fhir+xml'],
    [{}, '?_format=application/fhir%2Bxml', 'application/fhir+xml'],
    [{}, '?_format=application/fhir+xml', 'application/fhir+xml'],
    [{}, '?_format=json', 'application/fhir+json'],
    [{}, '?_format=text/xml', 'xml'],
  ])('%j %s answers %s', async (headers, query, expected) => {
    const { id } = await created(patient())
    const answer = await get(`Patient/${id}${query}`, headers as Record<string, string>)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toContain(expected)
    expect(answer.text.trimStart()[0]).toBe(expected.includes('xml') ? '<' : '{')
  })

  test('a format nobody writes is 406', async () => {
    const { id } = await created(patient())
    expect((await get(`Patient/${id}`, { accept: 'application/pdf' })).status).toBe(406)
    expect((await get(`Patient/${id}?_format=yaml`)).status).toBe(406)
  })

  test('XML comes in and goes out with the same content', async () => {
    const xml = `<Patient xmlns="http://hl7.org/fhir"><active value="true"/><name><family value="Ñandú &amp; Søn"/><given value="A"/><given value="B"/></name></Patient>`
    const answer = await post('Patient', xml, {
      'content-type': 'application/fhir+xml',
      accept: 'application/fhir+json',
    })
    expect(answer.status).toBe(201)
    const { id } = resourceIn<Patient>(answer)
    expect(resourceIn<Patient>(answer)).toMatchObject({
      active: true,
      name: [{ family: 'Ñandú & Søn', given: ['A', 'B'] }],
    })
    const out = await get(`Patient/${id}`, { accept: 'application/fhir+xml' })
    expect(out.text).toContain('<family value="Ñandú &amp; Søn"/>')
    expect(out.text).toContain('xmlns="http://hl7.org/fhir"')
  })

  test('searches, histories, outcomes and capabilities are written in XML too', async () => {
    const accept = { accept: 'application/fhir+xml' }
    const { id } = await created(patient())
    for (const [path, root] of [
      [`Patient?_id=${id}`, 'Bundle'],
      [`Patient/${id}/_history`, 'Bundle'],
      [`Patient/${id}/$everything`, 'Bundle'],
      ['Patient/never-was', 'OperationOutcome'],
      ['metadata', 'CapabilityStatement'],
    ] as const) {
      const answer = await get(path, accept)
      expect(answer.headers.get('content-type')).toContain('application/fhir+xml')
      expect(answer.text).toMatch(new RegExp(`^(<\\?xml[^>]*>\\s*)?<${root} `))
    }
  })

  test('_pretty is for people', async () => {
    const { id } = await created(patient())
    expect((await get(`Patient/${id}?_pretty=true`)).text).toContain('\n  "')
    expect((await get(`Patient/${id}`)).text.trimEnd()).not.toContain('\n')
  })

  test.each(['gzip', 'br'])('%s is spoken', async (encoding) => {
    const long = await created({
      ...patient(),
      text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${'a '.repeat(5000)}</div>` },
    } as Patient)
    const answer = await get(`Patient/${long.id}`, { 'accept-encoding': encoding })
    expect(answer.headers.get('content-encoding')).toBe(encoding)
    expect(resourceIn<Patient>(answer).id).toBe(long.id)
  })
})

describe('Prefer', () => {
  test.each([
    ['minimal', ''],
    ['representation', 'Patient'],
    ['OperationOutcome', 'OperationOutcome'],
  ])('return=%s', async (value, resourceType) => {
    const prefer = { prefer: `return=${value}` }
    const create = await post('Patient', patient(), prefer)
    expect(create.status).toBe(201)
    const id = create.headers.get('location')!.split('/').at(-3)!
    const update = await put(`Patient/${id}`, { ...patient(), id }, prefer)
    expect(update.status).toBe(200)
    for (const answer of [create, update]) {
      if (resourceType === '') expect(answer.bytes).toHaveLength(0)
      else expect(JSON.parse(answer.text).resourceType).toBe(resourceType)
    }
  })

  test('handling=strict refuses unknown search parameters, lenient says what it ignored', async () => {
    expectOutcome(await get('Patient?familly=x', { prefer: 'handling=strict' }), 400)
    const answer = await get('Patient?familly=x&_count=1', { prefer: 'handling=lenient' })
    expect(answer.status).toBe(200)
    const { link, entry } = JSON.parse(answer.text)
    expect(link.find(({ relation }: { relation: string }) => relation === 'self').url).not.toContain('familly')
    expect(entry.some(({ search }: { search: { mode: string } }) => search.mode === 'outcome')).toBe(true)
  })
})

describe('errors', () => {
  test.each([
    ['GET', 'Nothing', 404],
    ['GET', 'Patient/a/b/c', 404],
    ['GET', '$nothing', 404],
    ['DELETE', 'metadata', 405],
    ['PUT', '', 405],
    ['PATCH', 'Patient/_search', 405],
  ])('%s /%s answers %i', async (method, path, status) => {
    expectOutcome(await send(method, path), [status, 400, 404])
  })

  test('405 says what is allowed', async () => {
    const answer = await send('DELETE', 'metadata')
    if (answer.status === 405) expect(answer.headers.get('allow')).toContain('GET')
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/pdf',
    '',
  ])('a body of type "%s" is 415', async (type) => {
    const answer = await send('POST', 'Patient', { body: JSON.stringify(patient()), headers: { 'content-type': type } })
    expectOutcome(answer, [400, 415])
  })

  test('application/json and a charset are understood', async () => {
    for (const type of [
      'application/json',
      'application/fhir+json; charset=utf-8',
      'application/json+fhir',
      'text/json',
    ])
      expect([type, (await post('Patient', patient(), { 'content-type': type })).status]).toEqual([type, 201])
  })

  test('answers say nothing of the machinery behind', async () => {
    for (const path of ['Patient/nope', 'Patient?x=1', 'metadata', '%zz']) {
      const answer = await get(path)
      expect(answer.headers.get('x-powered-by')).toBeNull()
      expect(answer.text).not.toMatch(/node_modules|sqlite|at .*\.(js|ts):\d+/i)
    }
  })
})

describe('capabilities', () => {
  test('/metadata is a CapabilityStatement of this instance', async () => {
    const answer = await get('metadata')
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text)).toMatchObject({
      resourceType: 'CapabilityStatement',
      status: 'active',
      kind: 'instance',
      fhirVersion: '4.0.1',
      implementation: { url: baseUrl() },
    })
  })

  test('it can be cached and asked again', async () => {
    const etag = (await get('metadata')).headers.get('etag')
    if (etag) expect((await get('metadata', { 'if-none-match': etag })).status).toBe(304)
  })
})
