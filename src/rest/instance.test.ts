/** The instance level, over the real server: https://hl7.org/fhir/R4/http.html#general */
import { describe, expect, test } from '@jest/globals'
import { api, created, expectOutcome, json, patient, server } from './testing.js'

describe('create', () => {
  test('answers 201 with Location, ETag, Last-Modified and the resource', async () => {
    const response = await api().post('/Patient').set('Content-Type', json).send(patient()).expect(201)
    expect(response.headers['content-type']).toBe('application/fhir+json; charset=utf-8')
    expect(response.headers['location']).toBe(`${server.baseUrl}/Patient/${response.body.id}/_history/1`)
    expect(response.headers['etag']).toBe('W/"1"')
    expect(Date.parse(response.headers['last-modified']!)).toBeCloseTo(Date.parse(response.body.meta.lastUpdated), -4)
    expect(response.body).toMatchObject(patient())
    expect(response.body.meta.versionId).toBe('1')
  })

  test('ignores an id in the resource', async () => {
    const { body } = await api()
      .post('/Patient')
      .set('Content-Type', json)
      .send(patient({ id: 'mine' }))
      .expect(201)
    expect(body.id).not.toBe('mine')
  })

  test('of another type than the URL names is refused', async () => {
    expectOutcome(await api().post('/Observation').set('Content-Type', json).send(patient()).expect(400), 'invalid')
  })

  test('with If-None-Exist that matches answers 200 and the resource that is there', async () => {
    const identifier = [{ system: 'urn:test', value: 'once' }]
    const send = () =>
      api()
        .post('/Patient')
        .set('Content-Type', json)
        .set('If-None-Exist', 'identifier=urn:test|once')
        .send(patient({ identifier }))
    const first = await send().expect(201)
    const second = await send().expect(200)
    expect(second.body.id).toBe(first.body.id)
    expect(second.headers['location']).toBe(first.headers['location'])
  })

  test('takes If-None-Exist with or without the type, and with a question mark in a value', async () => {
    const identifier = [{ system: 'urn:test?x', value: 'mark' }]
    for (const criteria of [
      'identifier=urn:test?x|mark',
      '?identifier=urn:test?x|mark',
      'Patient?identifier=urn:test?x|mark',
    ])
      await api()
        .post('/Patient')
        .set('Content-Type', json)
        .set('If-None-Exist', criteria)
        .send(patient({ identifier }))
    expect((await api().get('/Patient?identifier=urn:test?x%7Cmark')).body.entry).toHaveLength(1)
  })

  test('sent twice with one Idempotency-Key is done once', async () => {
    const send = () => api().post('/Patient').set('Content-Type', json).set('Idempotency-Key', 'k1').send(patient())
    const [first, second] = [await send().expect(201), await send().expect(201)]
    expect(second.body.id).toBe(first.body.id)
  })
})

describe('read', () => {
  test('answers with ETag, Last-Modified and headers that keep records out of caches', async () => {
    const { url } = await created()
    const { headers } = await api().get(url).expect(200)
    expect(headers).toMatchObject({
      etag: 'W/"1"',
      'content-type': 'application/fhir+json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    expect(headers['x-powered-by']).toBeUndefined()
  })

  test('HEAD has the headers of GET and no body', async () => {
    const { url } = await created()
    const get = await api().get(url).expect(200)
    const head = await api().head(url).expect(200)
    expect(head.text).toBeFalsy()
    for (const name of ['etag', 'last-modified', 'content-type', 'content-length'])
      expect(head.headers[name]).toBe(get.headers[name])
  })

  test('of what was never there answers 404, of what was deleted 410', async () => {
    expectOutcome(await api().get('/Patient/never').expect(404), 'not-found')
    const { url } = await created()
    await api().delete(url).expect(204)
    expectOutcome(await api().get(url).expect(410), 'deleted')
  })

  test.each([
    [{ 'If-None-Match': 'W/"1"' }, 304],
    [{ 'If-None-Match': '"1"' }, 304],
    [{ 'If-None-Match': 'W/"7", W/"1"' }, 304],
    [{ 'If-None-Match': '*' }, 304],
    [{ 'If-None-Match': 'W/"2"' }, 200],
    [{ 'If-Modified-Since': new Date(Date.now() + 10_000).toUTCString() }, 304],
    [{ 'If-Modified-Since': 'Tue, 01 Jan 2019 00:00:00 GMT' }, 200],
    [{ 'If-Modified-Since': 'yesterday' }, 200],
    [{ 'If-None-Match': 'W/"2"', 'If-Modified-Since': new Date(Date.now() + 10_000).toUTCString() }, 200],
  ])('conditional: %j is answered %i', async (headers, status) => {
    const { url } = await created()
    const response = await api().get(url).set(headers).expect(status)
    expect(response.headers['etag']).toBe('W/"1"')
    if (status === 304) expect(response.text).toBeFalsy()
  })

  test('If-Modified-Since with the Last-Modified of the answer is 304, unless the second had another version', async () => {
    const { id, url } = await created()
    const ask = (since: string) => api().get(url).set('If-Modified-Since', since)
    const { headers } = await api().get(url).expect(200)
    await ask(headers['last-modified']!).expect(304)
    for (const birthDate of ['2001-01-01', '2002-01-01', '2003-01-01'])
      await api().put(url).set('Content-Type', json).send(patient({ id, birthDate })).expect(200)
    const history = await api().get(`${url}/_history?_count=2`).expect(200)
    const [last, before] = history.body.entry.map(({ response }: { response: { lastModified: string } }) =>
      response.lastModified.slice(0, 19),
    )
    const since = (await api().get(url).expect(200)).headers['last-modified']!
    await ask(since).expect(last === before ? 200 : 304)
  })

  test('_summary and _elements give a part that says so', async () => {
    const { url } = await created(patient({ birthDate: '1988-04-12', photo: [{ title: 'x' }] }))
    const summary = await api().get(`${url}?_summary=true`).expect(200)
    expect(summary.body.photo).toBeUndefined()
    expect(summary.body.meta.tag[0].code).toBe('SUBSETTED')
    const elements = await api().get(`${url}?_elements=birthDate`).expect(200)
    expect(elements.body).toMatchObject({ birthDate: '1988-04-12' })
    expect(elements.body.name).toBeUndefined()
  })

  test('unknown parameters are refused unless handling is lenient', async () => {
    const { url } = await created()
    expectOutcome(await api().get(`${url}?colour=red`).expect(400), 'not-supported')
    await api().get(`${url}?colour=red`).set('Prefer', 'handling=lenient').expect(200)
  })
})

describe('update, vread and delete', () => {
  test('PUT under a new id creates with 201, under an old one answers 200 and the next version', async () => {
    const first = await api()
      .put('/Patient/new-1')
      .set('Content-Type', json)
      .send(patient({ id: 'new-1' }))
      .expect(201)
    expect(first.headers['location']).toBe(`${server.baseUrl}/Patient/new-1/_history/1`)
    const second = await api()
      .put('/Patient/new-1')
      .set('Content-Type', json)
      .send(patient({ id: 'new-1', active: true }))
    expect([second.status, second.headers['etag'], second.body.meta.versionId]).toEqual([200, 'W/"2"', '2'])
    expect(second.headers['content-location']).toBe(`${server.baseUrl}/Patient/new-1/_history/2`)
    const old = await api().get('/Patient/new-1/_history/1').expect(200)
    expect(old.headers['etag']).toBe('W/"1"')
    expect(old.body.active).toBeUndefined()
    await api().get('/Patient/new-1/_history/3').expect(404)
    await api().get('/Patient/new-1/_history/x').expect(404)
  })

  test('an identical PUT makes no new version', async () => {
    const { id, url } = await created()
    const response = await api().put(url).set('Content-Type', json).send(patient({ id })).expect(200)
    expect(response.headers['etag']).toBe('W/"1"')
  })

  test('If-Match of another version is refused with 412', async () => {
    const { id, url } = await created()
    const send = (etag: string) =>
      api()
        .put(url)
        .set('Content-Type', json)
        .set('If-Match', etag)
        .send(patient({ id, active: true }))
    expectOutcome(await send('W/"9"').expect(412), 'conflict')
    await send('W/"1"').expect(200)
  })

  test('the id of URL and body must agree', async () => {
    expectOutcome(
      await api()
        .put('/Patient/a')
        .set('Content-Type', json)
        .send(patient({ id: 'b' }))
        .expect(400),
    )
    expectOutcome(await api().put('/Patient/a').set('Content-Type', json).send(patient()).expect(400))
  })

  test('DELETE answers 204, again 204, and 204 for what never was', async () => {
    const { url } = await created()
    const response = await api().delete(url).expect(204)
    expect(response.headers['etag']).toBe('W/"2"')
    await api().delete(url).expect(204)
    await api().delete('/Patient/never-was').expect(204)
  })

  test('conditional update, patch and delete go by their criteria', async () => {
    const identifier = [{ system: 'urn:test', value: 'conditional' }]
    const criteria = '/Patient?identifier=urn:test%7Cconditional'
    await api().put(criteria).set('Content-Type', json).send(patient({ identifier })).expect(201)
    const again = await api()
      .put(`${criteria}&_format=json`)
      .set('Content-Type', json)
      .send(patient({ identifier, active: true }))
      .expect(200)
    expect(again.headers['etag']).toBe('W/"2"')
    const patched = await api()
      .patch(criteria)
      .set('Content-Type', 'application/json-patch+json')
      .send('[{"op":"remove","path":"/active"}]')
    expect([patched.status, patched.body.active]).toEqual([200, undefined])
    await api().delete(criteria).expect(204)
    await api()
      .get(again.headers['location']!.replace(/^.*\/fhir/, '').replace(/\/_history.*/, ''))
      .expect(410)
  })
})
