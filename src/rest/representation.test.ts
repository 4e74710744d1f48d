/** Formats and what is returned, over the real server: https://hl7.org/fhir/R4/http.html#mime-type */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import { api, bytes, created, expectOutcome, json, patient, server } from './testing.js'

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
