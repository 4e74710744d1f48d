import { describe, expect, test } from '@jest/globals'
import { FhirError, invalid, type Json, type Resource } from '../fhir/index.js'
import { atEntry, patchOf, readEntry } from './entry.js'

const context = { baseUrls: ['http://x/fhir'] }
const patient = { resourceType: 'Patient' }
const read = (json: Json) => readEntry(context, json, 0)

describe('the request of an entry', () => {
  test.each([
    ['POST', 'Patient', { kind: 'type', type: 'Patient' }],
    ['POST', '/Patient', { kind: 'type', type: 'Patient' }],
    ['POST', 'http://x/fhir/Patient', { kind: 'type', type: 'Patient' }],
    ['PUT', 'Patient/1', { kind: 'instance', type: 'Patient', id: '1' }],
    ['PUT', 'Patient?identifier=a|b', { kind: 'criteria', type: 'Patient', criteria: 'identifier=a|b' }],
    ['DELETE', 'Patient/?name=x', { kind: 'criteria', type: 'Patient', criteria: 'name=x' }],
    ['GET', 'Patient?name=x', { kind: 'other' }],
    ['HEAD', 'Patient/1', { kind: 'other' }],
    ['POST', 'Patient/_search?name=x', { kind: 'other' }],
    ['POST', 'Patient/1/$everything', { kind: 'other' }],
  ])('%s %s', (method, url, target) => {
    expect(read({ request: { method, url }, resource: patient }).target).toEqual(target)
  })

  test.each<[string, Json]>([
    ['no object', 3],
    ['null', null],
    ['no request', { resource: patient }],
    ['an unknown method', { request: { method: 'TRACE', url: 'Patient' } }],
    ['a lower case method', { request: { method: 'post', url: 'Patient' }, resource: patient }],
    ['no url', { request: { method: 'GET' } }],
    ['a url that is a number', { request: { method: 'GET', url: 3 } }],
    ['a url of another server', { request: { method: 'PUT', url: 'http://y/fhir/Patient/1' }, resource: patient }],
    ['an unknown type', { request: { method: 'POST', url: 'Patience' }, resource: patient }],
    ['a POST with an id', { request: { method: 'POST', url: 'Patient/1' }, resource: patient }],
    ['a PUT without an id', { request: { method: 'PUT', url: 'Patient' }, resource: patient }],
    ['a DELETE of a type', { request: { method: 'DELETE', url: 'Patient' } }],
    ['a DELETE of everything', { request: { method: 'DELETE', url: 'Patient?' } }],
    ['a POST without a resource', { request: { method: 'POST', url: 'Patient' } }],
    ['a resource without a type', { request: { method: 'POST', url: 'Patient' }, resource: {} }],
    ['a resource of another type', { request: { method: 'POST', url: 'Group' }, resource: patient }],
    ['a resource of no type', { request: { method: 'PUT', url: 'Patient/1' }, resource: { resourceType: 'Patience' } }],
    ['a list as resource', { request: { method: 'POST', url: 'Patient' }, resource: [] }],
    ['a list as ifMatch', { request: { method: 'PUT', url: 'Patient/1', ifMatch: [] }, resource: patient }],
    ['a number as fullUrl', { fullUrl: 1, request: { method: 'POST', url: 'Patient' }, resource: patient }],
  ])('%s is refused', (_, json) => {
    expect(() => read(json)).toThrow(FhirError)
  })
})

describe('a patch in a Bundle', () => {
  const binary = (contentType: Json, text: string): Resource => ({
    resourceType: 'Binary',
    contentType,
    data: Buffer.from(text).toString('base64'),
  })
  test('is a Binary with a JSON Patch', () =>
    expect(patchOf(binary('application/json-patch+json', '[{"op":"remove","path":"/x"}]'))).toEqual({
      kind: 'json',
      operations: [{ op: 'remove', path: '/x' }],
    }))
  test('or Parameters with a FHIRPath Patch', () =>
    expect(patchOf({ resourceType: 'Parameters' })).toEqual({
      kind: 'fhirpath',
      parameters: { resourceType: 'Parameters' },
    }))
  test.each([
    ['a Patient', patient],
    ['a Binary of another type', binary('text/plain', '[]')],
    ['a Binary without a type', binary(3, '[]')],
    ['a Binary that is no JSON', binary('application/json-patch+json', '[')],
    ['a Binary without data', { resourceType: 'Binary', contentType: 'application/json-patch+json' }],
  ])('%s is refused', (_, resource) => expect(() => patchOf(resource)).toThrow(FhirError))
})

test.each([
  ['Patient.name', 'Bundle.entry[3].resource.name'],
  ['Patient', 'Bundle.entry[3].resource'],
  ['request.url', 'Bundle.entry[3].request.url'],
  ['identifier', 'Bundle.entry[3]'],
  [undefined, 'Bundle.entry[3]'],
  ['Bundle.entry[2]', 'Bundle.entry[2]'],
])('%s in entry 3 is %s', (before, after) => {
  const placed = atEntry(invalid('x', before), 3) as FhirError
  expect(placed.issues[0]!.expression).toEqual([after])
  expect(placed.status).toBe(400)
})
