import { describe, expect, test } from '@jest/globals'
import type { Match, Stored } from '../store/index.js'
import { writeBundle } from './bundle.js'

const stored = (members: Partial<Stored> = {}): Stored => ({
  type: 'Patient',
  id: '1',
  version: 1,
  updated: 0,
  deleted: false,
  method: 'POST',
  body: Buffer.from('{"resourceType":"Patient","id":"1","name":[{"family":"Ünal 🩺"}]}'),
  ...members,
})
const match = (members?: Partial<Stored>, mode: Match['mode'] = 'match'): Match => ({ stored: stored(members), mode })
const baseUrl = 'http://x/fhir'
const links = [{ relation: 'self', url: 'http://x/fhir/Patient?name=%C3%BC' }]
const written = (content: Partial<Parameters<typeof writeBundle>[0]>) =>
  JSON.parse(writeBundle({ type: 'searchset', matches: [], links, baseUrl, ...content }).toString())

describe('a searchset', () => {
  test('has fullUrl, resource and mode for each entry', () =>
    expect(written({ matches: [match(), match({ type: 'Organization', id: 'o' }, 'include')], total: 1 })).toEqual({
      resourceType: 'Bundle',
      type: 'searchset',
      total: 1,
      link: links,
      entry: [
        { fullUrl: 'http://x/fhir/Patient/1', resource: JSON.parse(String(stored().body)), search: { mode: 'match' } },
        {
          fullUrl: 'http://x/fhir/Organization/o',
          resource: JSON.parse(String(stored().body)),
          search: { mode: 'include' },
        },
      ],
    }))

  test('without entries has no empty list, which FHIR forbids', () =>
    expect(written({ total: 0 })).toEqual({ resourceType: 'Bundle', type: 'searchset', total: 0, link: links }))

  test('tells what was ignored in an entry of mode outcome', () => {
    const { entry } = written({
      matches: [match()],
      issues: [{ severity: 'warning', code: 'not-supported', diagnostics: 'no "x"' }],
    })
    expect(entry[1]).toEqual({
      resource: {
        resourceType: 'OperationOutcome',
        issue: [{ severity: 'warning', code: 'not-supported', diagnostics: 'no "x"' }],
      },
      search: { mode: 'outcome' },
    })
  })

  test('holds the stored bytes, not a copy that was parsed', () => {
    const body = Buffer.from('{"resourceType":"Observation","id":"1","valueQuantity":{"value":1.00}}')
    expect(writeBundle({ type: 'searchset', matches: [match({ body })], links, baseUrl }).includes(body)).toBe(true)
  })

  test('can show summaries', () =>
    expect(written({ matches: [match()], subset: { summary: 'text' } }).entry[0].resource).toEqual({
      resourceType: 'Patient',
      id: '1',
      meta: { tag: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }] },
    }))
})

describe('a history', () => {
  const entries = (matches: Match[]) => written({ type: 'history', matches }).entry
  test('says how each version came about', () => {
    const [third, second, first] = entries([
      match({ version: 3, deleted: true, method: 'DELETE', body: Buffer.alloc(0) }),
      match({ version: 2, method: 'PUT' }),
      match(),
    ])
    const lastModified = '1970-01-01T00:00:00.000Z'
    expect(third).toEqual({
      fullUrl: 'http://x/fhir/Patient/1',
      request: { method: 'DELETE', url: 'Patient/1' },
      response: { status: '204', etag: 'W/"3"', lastModified },
    })
    expect(second.request).toEqual({ method: 'PUT', url: 'Patient/1' })
    expect(second.response).toEqual({ status: '200', etag: 'W/"2"', lastModified })
    expect(second.resource.id).toBe('1')
    expect(first.request).toEqual({ method: 'POST', url: 'Patient' })
    expect(first.response).toEqual({ status: '201', etag: 'W/"1"', lastModified })
  })

  test('an update that created is 201', () =>
    expect(entries([match({ method: 'PUT' })])[0].response.status).toBe('201'))
})
