import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  Decimal,
  instant,
  isId,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  referencesIn,
  serialize,
  splice,
} from './index.js'

const read = (resource: Resource, id: string, version: number, updated: number) =>
  parseJson(splice(serialize(resource, id), version, updated)) as Resource

describe('the bytes of a resource', () => {
  test('carry the id, the version and the time the store decided, not those the client sent', () => {
    const sent: Resource = {
      resourceType: 'Patient',
      id: 'theirs',
      meta: { versionId: '9', lastUpdated: '1999-01-01T00:00:00Z', tag: [{ code: 'a' }] },
      active: true,
    }
    expect(splice(serialize(sent, 'ours'), 1, 0).toString()).toBe(
      '{"resourceType":"Patient","id":"ours","meta":{"versionId":"1","lastUpdated":"1970-01-01T00:00:00.000Z","tag":[{"code":"a"}]},"active":true}',
    )
  })

  test('are valid JSON for the smallest resource', () => {
    expect(splice(serialize({ resourceType: 'Basic' }, 'a'), 12, 1).toString()).toBe(
      '{"resourceType":"Basic","id":"a","meta":{"versionId":"12","lastUpdated":"1970-01-01T00:00:00.001Z"}}',
    )
  })

  test('keep every digit of a decimal', () => {
    const resource = parseJson('{"resourceType":"Observation","valueQuantity":{"value":1.00}}') as Resource
    expect(splice(serialize(resource, 'a'), 1, 0).toString()).toContain('"value":1.00')
  })

  test('hold the content of any resource and nothing else', () => {
    const value = fc
      .jsonValue({ stringUnit: 'grapheme' })
      .map((value) => parseJson(JSON.stringify(value).replaceAll('__proto__', 'proto')))
    const rest = fc.dictionary(
      fc.string().filter((key) => !['resourceType', 'id', 'meta', '__proto__'].includes(key)),
      value,
      { noNullPrototype: true },
    )
    const meta = fc.option(
      fc.record(
        { versionId: fc.string(), lastUpdated: fc.string(), tag: fc.array(value) },
        { requiredKeys: [], noNullPrototype: true },
      ),
      { nil: undefined },
    )
    fc.assert(
      fc.property(rest, meta, fc.nat(), fc.nat(4e12), (rest, meta, version, updated) => {
        const resource = { resourceType: 'Basic', ...rest, ...(meta && { meta }) } as Resource
        expect(read(resource, 'a', version, updated)).toEqual({
          ...resource,
          id: 'a',
          meta: { ...meta, versionId: String(version), lastUpdated: new Date(updated).toISOString() },
        })
      }),
    )
  })
})

test.each(['a', 'A-1.b', '0'.repeat(64)])('%s is an id', (id) => expect(isId(id)).toBe(true))
test.each(['', 'a_b', 'a b', 'a/b', 'é', 'a\n', '0'.repeat(65)])('%j is no id', (id) => expect(isId(id)).toBe(false))

test('an object is neither a list nor null nor a decimal', () => {
  expect(isObject({})).toBe(true)
  for (const value of [null, undefined, [], 'a', 1, true, new Decimal('1.0')]) expect(isObject(value)).toBe(false)
})

test('an instant has milliseconds and is in UTC', () =>
  expect(instant(1_577_836_800_000)).toBe('2020-01-01T00:00:00.000Z'))

test('references are found wherever they stand, with their place', () => {
  const resource: JsonObject = {
    resourceType: 'Observation',
    contained: [{ resourceType: 'Patient', managingOrganization: { reference: 'Organization/1' } }],
    extension: [{ url: 'urn:x', valueReference: { reference: 'Device/1' } }],
    subject: { reference: '#p', display: 'Patient/9' },
    performer: [
      { display: 'nobody' },
      { reference: 'Practitioner/1', identifier: { assigner: { reference: 'Organization/2' } } },
    ],
    valueQuantity: { value: new Decimal('1.0') } as unknown as Json,
  }
  expect([...referencesIn(resource)]).toEqual([
    { path: 'contained[0].managingOrganization.reference', reference: 'Organization/1' },
    { path: 'extension[0].valueReference.reference', reference: 'Device/1' },
    { path: 'subject.reference', reference: '#p' },
    { path: 'performer[1].reference', reference: 'Practitioner/1' },
    { path: 'performer[1].identifier.assigner.reference', reference: 'Organization/2' },
  ])
  expect([...referencesIn({ reference: 'Patient/1' })]).toEqual([{ path: 'reference', reference: 'Patient/1' }])
  expect([...referencesIn({ reference: 1 })]).toEqual([])
})
