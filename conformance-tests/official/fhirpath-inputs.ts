/**
 * Small stand-ins for the examples that the FHIRPath vectors are evaluated on, with just what the vectors ask for.
 *
 * https://hl7.org/fhir/R4/fhirpath.html
 */
import type { JsonObject, Resource } from '../../src/fhir/index.js'

const birthTime = 'http://hl7.org/fhir/StructureDefinition/patient-birthTime'

const item = (linkId: string, codes: number, ...items: JsonObject[]): JsonObject => ({
  linkId,
  type: 'group',
  code: Array.from({ length: codes }, (_, i) => ({ code: `${linkId}-${i}` })),
  ...(items.length && { item: items }),
})

export const fhirPathInputs: Record<string, Resource> = {
  'patient-example.xml': {
    resourceType: 'Patient',
    id: 'example',
    text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">Peter</div>' },
    identifier: [{ use: 'usual', system: 'urn:oid:1.2.3', value: '12345', period: { start: '2001-05-06' } }],
    active: true,
    name: [
      { use: 'official', family: 'Chalmers', given: ['Peter', 'James'] },
      { use: 'usual', given: ['Jim'] },
      { use: 'maiden', family: 'Windsor', given: ['Peter', 'James'], period: { end: '2002' } },
    ],
    telecom: [
      { use: 'home' },
      { system: 'phone', value: '(03) 5555 6473', use: 'work' },
      { system: 'phone', value: '(03) 3410 5613', use: 'mobile' },
      { system: 'phone', value: '(03) 5555 8834', use: 'old' },
    ],
    gender: 'male',
    birthDate: '1974-12-25',
    _birthDate: { extension: [{ url: birthTime, valueDateTime: '1974-12-25T14:35:45-05:00' }] },
    deceasedBoolean: false,
    managingOrganization: { reference: 'Organization/1' },
  },
  'patient-example-period.xml': {
    resourceType: 'Patient',
    identifier: [{ period: { start: '2021-05-06', end: '2021-05-06T10:00:00Z' } }],
  },
  'patient-container-example.json': {
    resourceType: 'Patient',
    contained: [{ resourceType: 'Organization', id: '1' }],
    managingOrganization: { reference: '#1' },
  },
  'patient-name-extensions.json': {
    resourceType: 'Patient',
    name: [{ given: [null, 'Ann'], _given: [{ extension: [{ url: 'urn:x', valueCode: 'masked' }] }, null] }],
  },
  'observation-example.xml': {
    resourceType: 'Observation',
    id: 'example',
    extension: [{ url: 'http://example.com/fhir/StructureDefinition/patient-age', valueAge: { value: 48, unit: 'a' } }],
    status: 'final',
    category: [
      { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] },
    ],
    code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
    subject: { reference: 'Patient/example' },
    valueQuantity: { value: 185, unit: 'lbs', system: 'http://unitsofmeasure.org', code: '[lb_av]' },
  },
  'questionnaire-example.xml': {
    resourceType: 'Questionnaire',
    url: 'http://example.org/Questionnaire/3141',
    status: 'draft',
    code: [{ code: 'a' }],
    item: [
      item('1', 1, item('1.1', 3), item('1.2', 2)),
      item('2', 0, item('2.1', 2), item('2.2', 2), item('2.3', 1), item('2.4', 0), item('2.5', 0), item('2.6', 0)),
    ],
  },
  'valueset-example-expansion.xml': {
    resourceType: 'ValueSet',
    version: '20150622',
    status: 'draft',
    expansion: {
      timestamp: '2015-06-22T13:56:07Z',
      contains: Array.from({ length: 5 }, (_, i) => ({ display: `${i}`, contains: [{ code: `${i}` }] })),
    },
  },
  'codesystem-example.xml': {
    resourceType: 'CodeSystem',
    status: 'draft',
    content: 'complete',
    concept: [
      { code: 'a', concept: [{ code: 'b' }, { code: 'a' }] },
      { code: 'c', concept: [{ code: 'd' }] },
    ],
  },
  'parameters-example-types.xml': {
    resourceType: 'Parameters',
    parameter: [
      { name: 'string', valueString: 'string' },
      { name: 'integer', valueInteger: 1 },
      { name: 'uuid', valueUuid: 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520' },
      { name: 'decimal', valueDecimal: 1.5 },
    ],
  },
  'explanationofbenefit-example.json': {
    resourceType: 'ExplanationOfBenefit',
    supportingInfo: [{ sequence: 2, category: { coding: [{ code: 'additionalbodysite' }] } }],
    item: [{ sequence: 1, informationSequence: [1, 2] }],
  },
  'appointment-examplereq.json': {
    resourceType: 'Appointment',
    identifier: [{ system: 'http://example.org/appointments', value: '123' }],
    status: 'proposed',
  },
}
