import { expect, test } from '@jest/globals'
import { localReference, parseReference } from './index.js'

// https://hl7.org/fhir/R4/references.html#literal
test.each([
  ['Patient/1', { type: 'Patient', id: '1' }],
  ['Patient/034AB16', { type: 'Patient', id: '034AB16' }],
  ['Patient/1/_history/2', { type: 'Patient', id: '1', version: '2' }],
  [
    'http://fhir.hl7.org/svc/StructureDefinition/c8973a22',
    { type: 'StructureDefinition', id: 'c8973a22', base: 'http://fhir.hl7.org/svc' },
  ],
  ['https://example.org/Patient/1', { type: 'Patient', id: '1', base: 'https://example.org' }],
  ['http://localhost:8080/fhir/Patient/a.b-c', { type: 'Patient', id: 'a.b-c', base: 'http://localhost:8080/fhir' }],
  [
    'https://example.org/t/north/fhir/Observation/1/_history/3',
    { type: 'Observation', id: '1', version: '3', base: 'https://example.org/t/north/fhir' },
  ],
  ['https://example.org/_history/Patient/1', { type: 'Patient', id: '1', base: 'https://example.org/_history' }],
])('%s', (text, expected) => expect(parseReference(text)).toEqual(expected))

test.each([
  '',
  '/',
  '#p1',
  '#',
  'Patient',
  'Patient/',
  '/Patient/1',
  'Patient//1',
  'Patient/1/',
  'patient/1',
  'Person2/1',
  'Resource/1',
  'DomainResource/1',
  'Patient/a b',
  'Patient/a_b',
  `Patient/${'1'.repeat(65)}`,
  'Patient/1/_history',
  'Patient/1/_history/',
  'Patient/1/_history/a_b',
  'Patient/1/history/2',
  'urn:uuid:c757873d-ec9a-4326-a141-556f43239520',
  'urn:oid:1.2.3',
  'Patient/1?x=y',
  'Patient/1#2',
  'Patient?identifier=1',
  'fhir/Patient/1',
  '../Patient/1',
  'http:/Patient/1',
  'http://Patient/1',
  'https:///Patient/1',
  'ftp://example.org/Patient/1',
  'http://example.org/?a=/Patient/1',
  'http://a b/Patient/1',
  'constructor/1',
  '__proto__/1',
])('%j is no literal reference to a resource', (text) => expect(parseReference(text)).toBeUndefined())

test('a reference is ours when it is relative or begins with one of our base URLs', () => {
  const bases = ['https://ours.example/fhir', 'http://localhost:8080/fhir']
  expect(localReference('Patient/1', bases)).toEqual({ type: 'Patient', id: '1' })
  expect(localReference('https://ours.example/fhir/Patient/1', bases)).toEqual({ type: 'Patient', id: '1' })
  expect(localReference('http://localhost:8080/fhir/Patient/1/_history/2', bases)).toEqual({
    type: 'Patient',
    id: '1',
    version: '2',
  })
  expect(localReference('https://theirs.example/fhir/Patient/1', bases)).toBeUndefined()
  expect(localReference('https://ours.example/fhir2/Patient/1', bases)).toBeUndefined()
  expect(localReference('https://ours.example/Patient/1', bases)).toBeUndefined()
  expect(localReference('#p1', bases)).toBeUndefined()
})
