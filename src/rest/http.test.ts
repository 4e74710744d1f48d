/** The rules of https://hl7.org/fhir/R4/http.html about status, headers and formats, over the real server. */
import { connect } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import supertest from 'supertest'
import { startTestServer, type TestServer } from '../testing.js'

let server: TestServer
const api = () => supertest(server.fhir)

beforeAll(async () => {
  server = await startTestServer({ BODY_MAX: '1mb', URL_MAX: '4096', CORS_ORIGINS: 'https://app.example' })
})
afterAll(() => server.close())

const json = 'application/fhir+json'
const patient = (more: object = {}) => ({
  resourceType: 'Patient',
  name: [{ family: 'Okello', given: ['Grace'] }],
  ...more,
})

async function created(resource: object = patient()): Promise<{ id: string; url: string }> {
  const { resourceType } = resource as { resourceType: string }
  const { body } = await api().post(`/${resourceType}`).set('Content-Type', json).send(resource).expect(201)
  return { id: body.id, url: `/${resourceType}/${body.id}` }
}

/** supertest leaves types it does not know unread; this reads all as bytes. */
const bytes = (request: supertest.Test) =>
  request.buffer(true).parse((response, done) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => done(null, Buffer.concat(chunks)))
  })

/** A link of a Bundle, below the base. */
const linkOf = ({ body }: supertest.Response, relation: string): string | undefined =>
  (body.link as { relation: string; url: string }[])
    .find((link) => link.relation === relation)
    ?.url.replace(server.baseUrl, '')

function expectOutcome({ body }: { body: Record<string, unknown> }, code?: string) {
  const issues = body['issue'] as { severity: string; code: string; diagnostics: string }[]
  expect(body['resourceType']).toBe('OperationOutcome')
  expect(issues.length).toBeGreaterThan(0)
  for (const { severity, diagnostics } of issues) {
    expect(severity).toMatch(/^(fatal|error|warning|information)$/)
    expect(diagnostics.length).toBeGreaterThan(10)
  }
  if (code !== undefined) expect(issues[0]!.code).toBe(code)
}

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

describe('Prefer: return', () => {
  test.each([
    ['minimal', 0],
    ['representation', 'Patient'],
    ['OperationOutcome', 'OperationOutcome'],
  ])('%s', async (preference, expected) => {
    const response = await bytes(
      api().post('/Patient').set('Content-Type', json).set('Prefer', `return=${preference}`).send(patient()),
    ).expect(201)
    const body: Buffer = response.body
    if (expected === 0) expect(body).toHaveLength(0)
    else expect(JSON.parse(body.toString()).resourceType).toBe(expected)
    expect(response.headers['location']).toContain('/Patient/')
    expect(response.headers['etag']).toBe('W/"1"')
  })

  test('minimal holds for update, patch and delete', async () => {
    const { id, url } = await created()
    const update = await api()
      .put(url)
      .set('Content-Type', json)
      .set('Prefer', 'return=minimal')
      .send(patient({ id, active: true }))
    expect([update.status, update.text]).toEqual([200, ''])
    const patch = await api()
      .patch(url)
      .set('Content-Type', 'application/json-patch+json')
      .set('Prefer', 'return=minimal')
      .send('[{"op":"replace","path":"/active","value":false}]')
    expect([patch.status, patch.text]).toEqual([200, ''])
    const remove = await api().delete(url).set('Prefer', 'return=OperationOutcome')
    expect(remove.status).toBe(200)
    expectOutcome(remove, 'informational')
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

describe('formats', () => {
  test('XML in and out has the same content', async () => {
    const xml =
      '<Patient xmlns="http://hl7.org/fhir"><active value="true"/><name><family value="Okello"/></name></Patient>'
    const response = await api()
      .post('/Patient')
      .set('Content-Type', 'application/fhir+xml')
      .set('Accept', json)
      .send(xml)
    expect(response.status).toBe(201)
    expect(response.body).toMatchObject({ active: true, name: [{ family: 'Okello' }] })
    const back = await bytes(api().get(`/Patient/${response.body.id}`).set('Accept', 'application/fhir+xml')).expect(
      200,
    )
    expect(back.headers['content-type']).toBe('application/fhir+xml; charset=utf-8')
    expect(back.body.toString()).toContain('<family value="Okello"/>')
    expect(back.body.toString()).toContain(`<id value="${response.body.id}"/>`)
  })

  test.each([
    ['application/json', undefined, 'application/json; charset=utf-8'],
    ['text/json', undefined, 'text/json; charset=utf-8'],
    ['application/xml', undefined, 'application/xml; charset=utf-8'],
    ['application/fhir+json; fhirVersion=4.0', undefined, 'application/fhir+json; fhirVersion=4.0; charset=utf-8'],
    ['application/fhir+xml', 'json', 'application/fhir+json; charset=utf-8'],
    ['text/turtle', 'xml', 'application/fhir+xml; charset=utf-8'],
    ['application/fhir+json', 'application/fhir%2Bxml', 'application/fhir+xml; charset=utf-8'],
    ['application/fhir+json', 'application/fhir+xml', 'application/fhir+xml; charset=utf-8'],
  ])('Accept: %s and _format=%s give %s', async (accept, format, expected) => {
    const { url } = await created()
    const response = await bytes(
      api()
        .get(format === undefined ? url : `${url}?_format=${format}`)
        .set('Accept', accept),
    )
    expect([response.status, response.headers['content-type']]).toEqual([200, expected])
  })

  test('a format we do not have is 406, and the refusal is in JSON', async () => {
    const { url } = await created()
    expectOutcome(await api().get(url).set('Accept', 'text/turtle').expect(406))
    expectOutcome(await api().get(`${url}?_format=ttl`).expect(406))
  })

  test.each([['text/plain'], ['application/x-www-form-urlencoded'], ['application/fhir+json; fhirVersion=3.0']])(
    'a body of type %s is 415',
    async (type) => expectOutcome(await api().post('/Patient').set('Content-Type', type).send('x=1').expect(415)),
  )

  test('_pretty=true indents', async () => {
    const { url } = await created()
    expect((await api().get(`${url}?_pretty=true`).expect(200)).text).toContain('\n  "id"')
    expect((await api().get(url).expect(200)).text).not.toContain('\n')
  })

  test('errors come in the format that was asked for', async () => {
    const response = await bytes(api().get('/Patient/never').set('Accept', 'application/fhir+xml')).expect(404)
    expect(response.body.toString()).toContain('<OperationOutcome xmlns="http://hl7.org/fhir">')
  })

  test('so do those of a path FHIR does not have, and of a method that has no meaning there', async () => {
    for (const request of [api().get('/Nope/1'), api().put('/metadata'), api().get('/no/such/path/at/all')]) {
      const { text, headers } = await request.set('Accept', 'application/fhir+xml')
      expect(headers['content-type']).toMatch(/^application\/fhir\+xml/)
      expect(text).toMatch(/^<\?xml[^>]*><OperationOutcome/)
    }
    const { text } = await api().get('/Nope/1?_format=xml').expect(404)
    expect(text).toMatch(/^<\?xml/)
    expectOutcome(await api().get('/Nope/1').set('Accept', 'text/turtle').expect(404), 'not-found')
  })

  test('digits of a decimal come back as they were sent', async () => {
    const text = '{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"urn:x","valueDecimal":1.00}]}'
    const response = await bytes(api().post('/Basic').set('Content-Type', json).send(text)).expect(201)
    expect(response.body.toString()).toContain('"valueDecimal":1.00}')
  })
})

describe('compression', () => {
  const long = patient({
    text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${'word '.repeat(1000)}</div>` },
  })

  test('answers are compressed for who accepts it, and only if they are long', async () => {
    const { url } = await created(long)
    const gzip = await api().get(url).set('Accept-Encoding', 'gzip').expect(200)
    expect(gzip.headers['content-encoding']).toBe('gzip')
    expect(gzip.body.text.div).toContain('word word')
    const plain = await api().get(url).set('Accept-Encoding', 'identity').expect(200)
    expect(plain.headers['content-encoding']).toBeUndefined()
    const short = await created()
    expect((await api().get(short.url).set('Accept-Encoding', 'gzip')).headers['content-encoding']).toBeUndefined()
  })

  test('HEAD tells the length of what GET would send', async () => {
    const { url } = await created(long)
    const head = await api().head(url).set('Accept-Encoding', 'gzip')
    const get = await api().get(url).set('Accept-Encoding', 'gzip')
    expect(head.headers['content-length']).toBe(get.headers['content-length'])
  })

  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('bodies may come as %s', async (encoding, encode) => {
    const body = encode(Buffer.from(JSON.stringify(patient())))
    const response = await fetch(`${server.fhir}/Patient`, {
      method: 'POST',
      headers: { 'Content-Type': json, 'Content-Encoding': encoding },
      body,
    })
    expect(response.status).toBe(201)
  })

  test('what grows beyond the limit when decompressed is refused', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024, 32))
    const response = await fetch(`${server.fhir}/Patient`, {
      method: 'POST',
      headers: { 'Content-Type': json, 'Content-Encoding': 'gzip' },
      body: bomb,
    })
    expect(response.status).toBe(413)
  })

  test('what is not what it says is refused', async () => {
    const send = (encoding: string) =>
      fetch(`${server.fhir}/Patient`, {
        method: 'POST',
        headers: { 'Content-Type': json, 'Content-Encoding': encoding },
        body: JSON.stringify(patient()),
      })
    expect((await send('gzip')).status).toBe(400)
    expect((await send('compress')).status).toBe(415)
  })
})

describe('search', () => {
  test('GET and POST answer the same searchset', async () => {
    await created(patient({ name: [{ family: 'Searched' }] }))
    const get = await api().get('/Patient?family=searched').expect(200)
    const post = await api().post('/Patient/_search').type('form').send('family=searched').expect(200)
    expect(get.body).toMatchObject({ resourceType: 'Bundle', type: 'searchset' })
    expect(get.body.entry).toHaveLength(1)
    expect(get.body.entry[0].search.mode).toBe('match')
    expect(get.body.entry[0].fullUrl).toBe(`${server.baseUrl}/Patient/${get.body.entry[0].resource.id}`)
    expect(post.body.entry).toEqual(get.body.entry)
    expect(post.body.link).toEqual(get.body.link)
  })

  test('POST takes parameters of URL and form together', async () => {
    await created(patient({ name: [{ family: 'Both' }], gender: 'female' }))
    await created(patient({ name: [{ family: 'Both' }], gender: 'male' }))
    const { body } = await api().post('/Patient/_search?family=both').type('form').send('gender=male').expect(200)
    expect(body.entry).toHaveLength(1)
  })

  test('_format may stand in the form, and is in the links', async () => {
    const response = await bytes(api().post('/Patient/_search').type('form').send('family=nobody&_format=xml')).expect(
      200,
    )
    expect(response.headers['content-type']).toBe('application/fhir+xml; charset=utf-8')
    expect(response.body.toString()).toContain('family=nobody&amp;_format=xml')
  })

  test('a form is for searches and not for data', async () => {
    const response = await api()
      .post('/Patient/_search')
      .type('form')
      .send(`family=${'x'.repeat(1_100_000)}`)
    expect(response.status).toBe(413)
  })

  test('a form of another type is 415', async () => {
    expectOutcome(await api().post('/Patient/_search').set('Content-Type', json).send('{}').expect(415))
  })

  test('pages follow each other by next, and neither repeat nor lose', async () => {
    for (let i = 0; i < 5; i++) await created(patient({ name: [{ family: 'Paged' }] }))
    const ids: string[] = []
    let url: string | undefined = '/Patient?family=paged&_count=2&_format=application/json'
    while (url !== undefined) {
      const response: supertest.Response = await api().get(url).expect(200)
      expect(response.headers['content-type']).toContain('application/json')
      for (const { resource } of response.body.entry) ids.push(resource.id)
      url = linkOf(response, 'next')
    }
    expect(ids).toHaveLength(5)
    expect(new Set(ids).size).toBe(5)
  })

  test('a page link that is not ours is refused', async () => {
    expectOutcome(await api().get('/Patient?_page=invented').expect(400))
  })

  test('the self link states what was applied, and lenient handling says what was not', async () => {
    expectOutcome(await api().get('/Patient?colour=red&family=x').expect(400))
    const { body } = await api().get('/Patient?colour=red&family=x').set('Prefer', 'handling=lenient').expect(200)
    const self = body.link.find(({ relation }: { relation: string }) => relation === 'self').url
    expect(self).toContain('family=x')
    expect(self).not.toContain('colour')
    expect(body.entry.at(-1).search.mode).toBe('outcome')
  })

  test('an empty result has no entry and a total when it was asked for', async () => {
    const { body } = await api().get('/Patient?family=nobody&_total=accurate').expect(200)
    expect(body.total).toBe(0)
    expect(body.entry).toBeUndefined()
  })

  test('the total is stated where all matches fit on the first page, and not where it would have to be counted', async () => {
    const family = 'Fits'
    for (const given of ['a', 'b', 'c']) await created(patient({ name: [{ family, given: [given] }] }))
    const totalOf = async (query: string) =>
      (await api().get(`/Patient?family=${family}${query}`).expect(200)).body.total
    expect(await totalOf('')).toBe(3)
    expect(await totalOf('&_count=3')).toBe(3)
    expect(await totalOf('&_count=2')).toBeUndefined()
    expect(await totalOf('&_count=2&_total=accurate')).toBe(3)
    expect(await totalOf('&_total=none')).toBeUndefined()
    expect(await totalOf('&_summary=count')).toBe(3)
    const first = await api().get(`/Patient?family=${family}&_count=2`).expect(200)
    const second = await api().get(linkOf(first, 'next')!).expect(200)
    expect(second.body.entry).toHaveLength(1)
    expect(second.body.total).toBeUndefined()
  })

  test('the total counts matches, not what is included', async () => {
    const { id } = await created()
    await created({
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: `Patient/${id}` },
    })
    const { body } = await api().get(`/Observation?subject=${id}&_include=Observation:subject`).expect(200)
    expect(body.entry).toHaveLength(2)
    expect(body.total).toBe(1)
  })

  test('a compartment is searched by its path', async () => {
    const { id } = await created()
    await created({
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: `Patient/${id}` },
    })
    const one = await api().get(`/Patient/${id}/Observation`).expect(200)
    expect(one.body.entry).toHaveLength(1)
    const all = await api().get(`/Patient/${id}/*`).expect(200)
    expect(all.body.entry.length).toBeGreaterThanOrEqual(1)
  })

  test('the whole system is searched with _type', async () => {
    const { body } = await api().get('/?_type=Patient,Observation&_count=1').expect(200)
    expect(body.type).toBe('searchset')
    const form = await api().post('/_search').type('form').send('_type=Patient&_count=1').expect(200)
    expect(form.body.type).toBe('searchset')
  })
})

describe('history', () => {
  test('of a resource, a type and the system', async () => {
    const { id, url } = await created()
    await api()
      .put(url)
      .set('Content-Type', json)
      .send(patient({ id, active: true }))
      .expect(200)
    await api().delete(url).expect(204)
    const { body } = await api().get(`${url}/_history`).expect(200)
    expect(body.type).toBe('history')
    expect(body.total).toBe(3)
    expect(body.entry.map(({ request }: { request: { method: string } }) => request.method)).toEqual([
      'DELETE',
      'PUT',
      'POST',
    ])
    expect(body.entry[0].resource).toBeUndefined()
    expect((await api().get('/Patient/_history?_count=2').expect(200)).body.entry).toHaveLength(2)
    const system = await api().get('/_history?_count=1').expect(200)
    const next = linkOf(system, 'next')!
    expect((await api().get(next).expect(200)).body.entry).toHaveLength(1)
    expectOutcome(await api().get('/Patient/never/_history').expect(404))
  })
})

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

describe('Binary', () => {
  const content = Buffer.from('%PDF-1.4 \u0000\u0001 not really')

  async function uploaded(body: Buffer = content): Promise<string> {
    const response = await api()
      .post('/Binary')
      .set('Content-Type', 'application/pdf')
      .set('Prefer', 'return=minimal')
      .send(body)
      .expect(201)
    return response.headers['location']!.replace(server.baseUrl, '').replace(/\/_history.*/, '')
  }

  test('content comes back in its own type, as a download', async () => {
    const url = await uploaded()
    const response = await bytes(api().get(url)).expect(200)
    expect(response.body).toEqual(content)
    expect(response.headers).toMatchObject({
      'content-type': 'application/pdf',
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
      etag: 'W/"1"',
    })
    expect(response.headers['content-security-policy']).toContain('sandbox')
  })

  test.each([
    ['application/pdf', 'application/pdf'],
    ['application/*', 'application/pdf'],
    ['*/*', 'application/pdf'],
    ['application/fhir+json', 'application/fhir+json; charset=utf-8'],
    ['application/fhir+json, */*; q=0.1', 'application/fhir+json; charset=utf-8'],
    ['application/fhir+xml', 'application/fhir+xml; charset=utf-8'],
    ['application/json', 'application/json; charset=utf-8'],
  ])('Accept: %s gives %s', async (accept, expected) => {
    const response = await bytes(
      api()
        .get(await uploaded())
        .set('Accept', accept),
    ).expect(200)
    expect(response.headers['content-type']).toBe(expected)
  })

  test('as a resource it has the content in base64', async () => {
    const { body } = await api()
      .get(await uploaded())
      .set('Accept', json)
      .expect(200)
    expect(body).toMatchObject({
      resourceType: 'Binary',
      contentType: 'application/pdf',
      data: content.toString('base64'),
    })
    const form = await api()
      .get(`${await uploaded()}?_format=json`)
      .expect(200)
    expect(form.body.resourceType).toBe('Binary')
  })

  test('of a type that is not accepted is 406', async () => {
    expectOutcome(
      await api()
        .get(await uploaded())
        .set('Accept', 'image/png')
        .expect(406),
    )
  })

  test('large content is streamed with its length', async () => {
    const large = Buffer.alloc(900_001, 'abcdefg')
    const url = await uploaded(large)
    const response = await bytes(api().get(url)).expect(200)
    expect(response.body.equals(large)).toBe(true)
    expect(response.headers['content-length']).toBe('900001')
    expect((await api().head(url)).headers['content-length']).toBe('900001')
    expectOutcome(
      await api().post('/Binary').set('Content-Type', 'image/png').send(Buffer.alloc(1_100_000)).expect(413),
    )
  })

  test('a resource may be sent in FHIR JSON, and as application/json that says so', async () => {
    const resource = {
      resourceType: 'Binary',
      contentType: 'text/plain',
      data: Buffer.from('hello').toString('base64'),
    }
    for (const type of [json, 'application/json']) {
      const { body } = await api()
        .post('/Binary')
        .set('Content-Type', type)
        .set('Accept', json)
        .send(JSON.stringify(resource))
        .expect(201)
      expect(body.contentType).toBe('text/plain')
    }
    const other = await api()
      .post('/Binary')
      .set('Content-Type', 'application/json')
      .set('Accept', json)
      .send('{"a":1}')
      .expect(201)
    expect(other.body).toMatchObject({
      contentType: 'application/json',
      data: Buffer.from('{"a":1}').toString('base64'),
    })
  })

  test('X-Security-Context is kept, and PUT replaces the content', async () => {
    const { id } = await created()
    const response = await api()
      .put('/Binary/b1')
      .set('Content-Type', 'text/plain')
      .set('X-Security-Context', `Patient/${id}`)
      .set('Accept', json)
      .send('one')
    expect(response.status).toBe(201)
    expect(response.body.securityContext.reference).toBe(`Patient/${id}`)
    await api().put('/Binary/b1').set('Content-Type', 'text/plain').send('two').expect(200)
    expect((await api().get('/Binary/b1').expect(200)).text).toBe('two')
    expect((await api().get('/Binary/b1/_history/1').expect(200)).text).toBe('one')
  })

  test('no Content-Type is 415', async () => {
    const response = await fetch(`${server.fhir}/Binary`, { method: 'POST', body: Buffer.from('x') })
    expect(response.status).toBe(415)
  })
})

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
    expect((await api().get('/metadata').set('X-Request-Id', 'a b')).headers['x-request-id']).toBeUndefined()
  })

  test('OPTIONS says what is allowed, and CORS is for the origins in the settings', async () => {
    const options = await api().options('/Patient/1').set('Origin', 'https://app.example').expect(204)
    expect(options.headers['allow']).toBe('GET, HEAD, PUT, PATCH, DELETE, OPTIONS')
    expect(options.headers['access-control-allow-origin']).toBe('https://app.example')
    expect(options.headers['access-control-allow-headers']).toContain('If-Match')
    const stranger = await api().get('/metadata').set('Origin', 'https://stranger.example').expect(200)
    expect(stranger.headers['access-control-allow-origin']).toBeUndefined()
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
