/** Binary, over the real server: https://hl7.org/fhir/R4/binary.html#rest */
import { describe, expect, test } from '@jest/globals'
import { api, bytes, created, expectOutcome, json, server } from './testing.js'

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
