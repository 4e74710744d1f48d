/** Search and history, over the real server: https://hl7.org/fhir/R4/http.html#search */
import { describe, expect, test } from '@jest/globals'
import type supertest from 'supertest'
import { api, bytes, created, expectOutcome, json, linkOf, patient, server } from './testing.js'

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
