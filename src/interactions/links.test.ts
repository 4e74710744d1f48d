import { describe, expect, test } from '@jest/globals'
import { parseJson, type Resource, writeJson } from '../fhir/index.js'
import { mapLinks } from './links.js'

const upper = (text: string) => text.toUpperCase()
const linksOf = (resource: Resource): string[] => {
  const seen: string[] = []
  const see = (text: string) => {
    seen.push(text)
    return text
  }
  mapLinks(resource, { reference: see, uri: see })
  return seen
}

describe('links', () => {
  test('references are found in elements, lists, extensions, contained resources and beside primitives', () => {
    const seen = linksOf({
      resourceType: 'Observation',
      status: 'final',
      _status: { extension: [{ url: 'http://x/1', valueReference: { reference: 'Patient/4' } }] },
      subject: { reference: 'Patient/1' },
      performer: [{ reference: 'Practitioner/1' }, { display: 'somebody' }],
      extension: [{ url: 'http://x/1', valueReference: { reference: 'Patient/2' } }],
      contained: [{ resourceType: 'Device', id: 'd', patient: { reference: 'Patient/3' } }],
    })
    expect(seen.filter((text) => text.startsWith('P'))).toEqual([
      'Patient/4',
      'Patient/1',
      'Practitioner/1',
      'Patient/2',
      'Patient/3',
    ])
  })

  test('what is called reference without being one is left alone', () => {
    const resource = { resourceType: 'DetectedIssue', status: 'final', reference: 'http://x/Patient/1' }
    expect(mapLinks(resource, { reference: upper })).toBe(resource)
  })

  test('uri and url elements and href and src in the narrative are links; strings and canonicals are not', () => {
    const resource = {
      resourceType: 'DocumentReference',
      text: {
        status: 'generated',
        div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="urn:a">urn:a</a><img src='urn:a'/></div>`,
      },
      identifier: [{ value: 'urn:a' }],
      content: [{ attachment: { url: 'urn:a', title: 'urn:a' } }],
      extension: [{ url: 'http://x', valueCanonical: 'urn:a' }],
    }
    const mapped = mapLinks(resource, { reference: upper, uri: (text) => (text === 'urn:a' ? 'Binary/1' : text) })
    expect(mapped).toEqual({
      resourceType: 'DocumentReference',
      text: {
        status: 'generated',
        div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="Binary/1">urn:a</a><img src='Binary/1'/></div>`,
      },
      identifier: [{ value: 'urn:a' }],
      content: [{ attachment: { url: 'Binary/1', title: 'urn:a' } }],
      extension: [{ url: 'http://x', valueCanonical: 'urn:a' }],
    })
  })

  test('resources inside a stored Bundle keep their links', () => {
    expect(
      linksOf({
        resourceType: 'Bundle',
        type: 'collection',
        entry: [{ resource: { resourceType: 'Observation', subject: { reference: 'Patient/1' } } }],
      }),
    ).toEqual([])
  })

  test('decimals and everything else that is no link stay as they are', () => {
    const text = '{"resourceType":"Observation","valueQuantity":{"value":1.00},"subject":{"reference":"a"}}'
    const mapped = mapLinks(parseJson(text) as Resource, { reference: upper })
    expect(writeJson(mapped)).toBe(text.replace('"a"', '"A"'))
  })

  test.each([
    ['a string for a Reference', { subject: 'Patient/1' }],
    ['a number for a reference', { subject: { reference: 1 } }],
    ['lists of lists', { subject: [[{ reference: 'Patient/1' }]] }],
    ['null', { subject: null, text: null, contained: null }],
    ['a contained thing without type', { contained: [{ id: 'x' }, 3, { resourceType: 7 }] }],
    ['a number for a uri', { implicitRules: 3 }],
  ])('%s is walked over without harm', (_, members) => {
    expect(() => linksOf({ resourceType: 'Observation', ...members } as Resource)).not.toThrow()
  })
})
