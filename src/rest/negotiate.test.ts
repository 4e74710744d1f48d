import { describe, expect, test } from '@jest/globals'
import { FhirError } from '../fhir/index.js'
import { contentKind, formatParameter, mediaRanges, negotiate } from './negotiate.js'

const status = (attempt: () => unknown): number | undefined => {
  try {
    attempt()
    return undefined
  } catch (error) {
    return error instanceof FhirError ? error.status : Number.NaN
  }
}

describe('Accept', () => {
  test.each([
    [undefined, 'application/fhir+json; charset=utf-8'],
    ['', 'application/fhir+json; charset=utf-8'],
    ['*/*', 'application/fhir+json; charset=utf-8'],
    ['application/*', 'application/fhir+json; charset=utf-8'],
    ['application/fhir+json', 'application/fhir+json; charset=utf-8'],
    ['application/json', 'application/json; charset=utf-8'],
    ['text/json', 'text/json; charset=utf-8'],
    ['application/fhir+xml', 'application/fhir+xml; charset=utf-8'],
    ['application/xml', 'application/xml; charset=utf-8'],
    ['text/xml', 'text/xml; charset=utf-8'],
    ['application/json+fhir', 'application/fhir+json; charset=utf-8'],
    ['application/xml+fhir', 'application/fhir+xml; charset=utf-8'],
    ['APPLICATION/FHIR+XML', 'application/fhir+xml; charset=utf-8'],
    ['application/fhir+json; fhirVersion=4.0', 'application/fhir+json; fhirVersion=4.0; charset=utf-8'],
    ['application/fhir+json;fhirVersion="4.0"', 'application/fhir+json; fhirVersion=4.0; charset=utf-8'],
    ['application/fhir+json; fhirVersion=3.0, application/fhir+xml', 'application/fhir+xml; charset=utf-8'],
    ['application/fhir+xml;q=0.5, application/fhir+json;q=0.9', 'application/fhir+json; charset=utf-8'],
    ['application/fhir+json;q=0.1, application/fhir+xml', 'application/fhir+xml; charset=utf-8'],
    ['*/*, application/fhir+xml', 'application/fhir+xml; charset=utf-8'],
    ['text/turtle, application/fhir+json', 'application/fhir+json; charset=utf-8'],
    ['application/fhir+json, */*; q=0.1', 'application/fhir+json; charset=utf-8'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8', 'application/json; charset=utf-8'],
  ])('%s is answered with %s', (accept, expected) => {
    expect(negotiate(accept).contentType).toBe(expected)
  })

  test.each([
    ['text/turtle'],
    ['text/html'],
    ['application/fhir+json; fhirVersion=5.0'],
    ['application/fhir+json;q=0'],
    [';'],
    [','],
  ])('%s is not acceptable', (accept) => expect(status(() => negotiate(accept))).toBe(406))

  test('a thousand inventions are not remembered for ever', () => {
    for (let i = 0; i < 2000; i++) expect(mediaRanges(`application/x-${i}`)).toHaveLength(1)
  })
})

describe('_format', () => {
  test.each([
    ['json', 'json'],
    ['xml', 'xml'],
    ['text/xml', 'xml'],
    ['application/fhir+json', 'json'],
    ['application/fhir json', 'json'],
    ['application/xml', 'xml'],
  ])('%s is %s', (value, kind) => expect(formatParameter(value).kind).toBe(kind))

  test.each([['ttl'], ['html'], [''], ['application/fhir+json;fhirVersion=3.0']])('%s is not acceptable', (value) =>
    expect(status(() => formatParameter(value))).toBe(406),
  )
})

describe('Content-Type', () => {
  test.each([
    ['application/fhir+json', 'json'],
    ['application/fhir+json; charset=UTF-8', 'json'],
    ['application/fhir+json; charset="utf-8"; fhirVersion=4.0', 'json'],
    ['application/json', 'json'],
    ['text/xml', 'xml'],
    ['application/json-patch+json', 'json-patch'],
    ['application/x-www-form-urlencoded', 'form'],
    ['text/plain', 'other'],
    [undefined, 'other'],
  ])('%s is %s', (contentType, kind) => expect(contentKind(contentType)).toBe(kind))

  test.each([['application/fhir+json; fhirVersion=3.0'], ['application/fhir+xml; charset=iso-8859-1']])(
    '%s is not understood',
    (contentType) => expect(status(() => contentKind(contentType))).toBe(415),
  )
})
