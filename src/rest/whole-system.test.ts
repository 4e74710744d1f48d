/** Bundles, operations and the CapabilityStatement, over the real server: https://hl7.org/fhir/R4/http.html#transaction */
import { describe, expect, test } from '@jest/globals'
import { api, bytes, created, expectOutcome, json, patient } from './testing.js'

describe('batch and transaction', () => {
  test('a batch answers reads, searches, operations and failures side by side', async () => {
    const { url } = await created()
    const entry = [
      { request: { method: 'GET', url: url.slice(1) } },
      { request: { method: 'GET', url: 'Patient?family=okello&_count=1' } },
      { request: { method: 'GET', url: 'Patient/never' } },
      { request: { method: 'POST', url: 'Patient' }, resource: patient() },
      { request: { method: 'GET', url: url.slice(1), ifNoneMatch: 'W/"1"' } },
      { request: { method: 'GET', url: 'nothing/here' } },
      { request: { method: 'GET', url: 'metadata' } },
    ]
    const { body } = await api()
      .post('/')
      .set('Content-Type', json)
      .send({ resourceType: 'Bundle', type: 'batch', entry })
      .expect(200)
    expect(body.type).toBe('batch-response')
    const status = body.entry.map(({ response }: { response: { status: string } }) => response.status.slice(0, 3))
    expect(status).toEqual(['200', '200', '404', '201', '304', '404', '200'])
    expect(body.entry[0].resource.resourceType).toBe('Patient')
    expect(body.entry[0].response.etag).toBe('W/"1"')
    expect(body.entry[1].resource.type).toBe('searchset')
    expect(body.entry[2].response.outcome.resourceType).toBe('OperationOutcome')
    expect(body.entry[6].resource.resourceType).toBe('CapabilityStatement')
  })

  test('a transaction links its entries, and stores nothing when one fails', async () => {
    const entry = [
      {
        fullUrl: 'urn:uuid:7d9f4b2e-2a54-4c57-9b8e-0f7c5e4a1a11',
        request: { method: 'POST', url: 'Patient' },
        resource: patient({ name: [{ family: 'Linked' }] }),
      },
      {
        request: { method: 'POST', url: 'Observation' },
        resource: {
          resourceType: 'Observation',
          status: 'final',
          code: { text: 'x' },
          subject: { reference: 'urn:uuid:7d9f4b2e-2a54-4c57-9b8e-0f7c5e4a1a11' },
        },
      },
    ]
    const good = await api()
      .post('/')
      .set('Content-Type', json)
      .send({ resourceType: 'Bundle', type: 'transaction', entry })
      .expect(200)
    const [patientAt, observationAt] = good.body.entry.map(
      ({ response }: { response: { location: string } }) => response.location,
    )
    const observation = await api()
      .get(`/${observationAt.replace(/\/_history.*/, '')}`)
      .expect(200)
    expect(observation.body.subject.reference).toBe(patientAt.replace(/\/_history.*/, ''))
    const bad = [...entry, { request: { method: 'PUT', url: 'Patient/x' }, resource: patient({ id: 'y' }) }]
    expectOutcome(
      await api()
        .post('/')
        .set('Content-Type', json)
        .send({ resourceType: 'Bundle', type: 'transaction', entry: bad })
        .expect(400),
    )
    expect((await api().get('/Patient?family=linked')).body.entry).toHaveLength(1)
  })

  test('only a Bundle is posted to the base', async () => {
    expectOutcome(await api().post('/').set('Content-Type', json).send(patient()).expect(400))
  })
})

describe('operations inside a transaction', () => {
  const sent = (entry: object[]) =>
    api().post('/').set('Content-Type', json).send({ resourceType: 'Bundle', type: 'transaction', entry })
  const posted = (url: string, ...parameter: object[]) => ({
    request: { method: 'POST', url },
    resource: { resourceType: 'Parameters', parameter },
  })

  test('those that only answer are carried out, by POST too', async () => {
    const { url } = await created()
    const entry = [
      posted('Patient/$validate', { name: 'resource', resource: patient() }),
      posted('Patient/$validate', { name: 'resource', resource: patient({ gender: 'unheard-of' }) }),
      posted(`${url.slice(1)}/$everything`, { name: '_count', valueInteger: 5 }),
      { request: { method: 'POST', url: 'Patient' }, resource: patient() },
    ]
    const { body } = await sent(entry).expect(200)
    const status = body.entry.map(({ response }: { response: { status: string } }) => response.status.slice(0, 3))
    expect(status).toEqual(['200', '200', '200', '201'])
  })

  test('those that change state, and those there are not, are refused and nothing is done', async () => {
    const { url } = await created()
    const name = [{ family: 'Never' }]
    for (const refused of [
      posted(`${url.slice(1)}/$meta-add`, { name: 'meta', valueMeta: { tag: [{ code: 'x' }] } }),
      posted('Patient/$nothing'),
      posted('$%'),
    ]) {
      const response = await sent([
        { request: { method: 'POST', url: 'Patient' }, resource: patient({ name }) },
        refused,
      ])
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(response.status).toBeLessThan(500)
      expectOutcome(response)
    }
    expect((await api().get(url).expect(200)).headers['etag']).toBe('W/"1"')
    expect((await api().get('/Patient?family=Never&_summary=count')).body.total).toBe(0)
  })
})

describe('operations', () => {
  test('are asked by GET and POST where they are defined', async () => {
    const { url } = await created()
    expect((await api().get(`${url}/$meta`).expect(200)).body.resourceType).toBe('Parameters')
    expectOutcome(await api().get(`${url}/$nothing`).expect(404))
    expectOutcome(await api().get('/$everything').expect(404))
    const refused = await api().get(`${url}/$meta-add`).expect(405)
    expect(refused.headers['allow']).toBe('POST')
    const response = await api().delete(`${url}/$meta`).expect(405)
    expect(response.headers['allow']).toContain('GET')
  })
})

describe('metadata', () => {
  test('is a CapabilityStatement with an ETag', async () => {
    const { body, headers } = await api().get('/metadata').expect(200)
    expect(body).toMatchObject({ resourceType: 'CapabilityStatement', fhirVersion: '4.0.1', kind: 'instance' })
    await api().get('/metadata').set('If-None-Match', headers['etag']!).expect(304)
    expect((await api().get('/metadata?mode=terminology').expect(200)).body.resourceType).toBe(
      'TerminologyCapabilities',
    )
    expectOutcome(await api().get('/metadata?mode=other').expect(400))
    expectOutcome(await api().get('/metadata?colour=red').expect(400))
    expect((await api().get('/metadata?_elements=software').expect(200)).body.rest).toBeUndefined()
    expect((await bytes(api().get('/metadata?_format=xml')).expect(200)).body.toString()).toContain(
      '<CapabilityStatement',
    )
  })
})
