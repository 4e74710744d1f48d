import { describe, expect, jest, test } from '@jest/globals'
import { Decimal, type Json, type JsonObject } from '../fhir/index.js'
import { collect } from './findings.js'
import { checkInvariants, invariantIssues } from './invariants.js'

const keysOf = (resource: Json): (string | undefined)[] =>
  invariantIssues(resource)
    .map(({ diagnostics }) => /\(([a-z]+-[0-9a-z]+)\)$/.exec(diagnostics)?.[1])
    .filter((key) => key !== 'dom-6')

const ucum = 'http://unitsofmeasure.org'
const observation: JsonObject = { resourceType: 'Observation', status: 'final', code: { text: 'x' } }
const patient: JsonObject = { resourceType: 'Patient' }
const practitioner: JsonObject = { resourceType: 'Practitioner', id: 'p' }
const careTeam = (member: JsonObject): JsonObject => ({
  resourceType: 'CareTeam',
  contained: [practitioner, { resourceType: 'Patient', id: 'q' }],
  participant: [
    { member, onBehalfOf: { reference: 'Organization/1' } },
    { member: { reference: '#p' } },
    { member: { reference: '#q' } },
  ],
})

/** Each violates the text of one invariant; the second resource of a row does not. */
describe('an invariant', () => {
  test.each<[key: string, violates: Json, holds: Json]>([
    [
      'obs-3',
      { ...observation, referenceRange: [{ age: { low: { value: 1 } } }] },
      { ...observation, referenceRange: [{ text: 'x' }] },
    ],
    [
      'obs-6',
      { ...observation, valueString: 'x', dataAbsentReason: { text: 'x' } },
      { ...observation, dataAbsentReason: { text: 'x' } },
    ],
    [
      'obs-7',
      {
        ...observation,
        code: { coding: [{ code: 'a' }] },
        valueString: 'x',
        component: [{ code: { coding: [{ code: 'a' }] } }],
      },
      {
        ...observation,
        code: { coding: [{ code: 'a' }] },
        valueString: 'x',
        component: [{ code: { coding: [{ code: 'b' }] } }],
      },
    ],
    ['pat-1', { ...patient, contact: [{ gender: 'male' }] }, { ...patient, contact: [{ name: { text: 'x' } }] }],
    ['cpt-2', { ...patient, telecom: [{ value: '1' }] }, { ...patient, telecom: [{ system: 'phone', value: '1' }] }],
    [
      'per-1',
      { ...patient, name: [{ period: { start: '2020', end: '2019' } }] },
      { ...patient, name: [{ period: { start: '2019', end: '2020-01' } }] },
    ],
    [
      'att-1',
      { ...patient, photo: [{ data: 'AAAA' }] },
      { ...patient, photo: [{ data: 'AAAA', contentType: 'image/png' }] },
    ],
    [
      'qty-3',
      { ...observation, valueQuantity: { value: 1, code: 'mg' } },
      { ...observation, valueQuantity: { value: new Decimal('1.00'), code: 'mg', system: ucum } },
    ],
    [
      'rng-2',
      {
        ...observation,
        valueRange: { low: { value: 2, code: 'mg', system: ucum }, high: { value: 1, code: 'mg', system: ucum } },
      },
      { ...observation, valueRange: { low: { value: 1 }, high: { value: 2 } } },
    ],
    [
      'rat-1',
      { ...observation, valueRatio: { numerator: { value: 1 } } },
      { ...observation, valueRatio: { numerator: { value: 1 }, denominator: { value: 2 } } },
    ],
    [
      'tim-1',
      {
        resourceType: 'ServiceRequest',
        status: 'active',
        intent: 'order',
        subject: { display: 'x' },
        occurrenceTiming: { repeat: { duration: 1 } },
      },
      {
        resourceType: 'ServiceRequest',
        status: 'active',
        intent: 'order',
        subject: { display: 'x' },
        occurrenceTiming: { repeat: { duration: 1, durationUnit: 'h' } },
      },
    ],
    [
      'tim-9',
      { resourceType: 'ServiceRequest', occurrenceTiming: { repeat: { offset: 30, when: ['MORN', 'C'] } } },
      { resourceType: 'ServiceRequest', occurrenceTiming: { repeat: { offset: 30, when: ['MORN', 'HS'] } } },
    ],
    [
      'age-1',
      { resourceType: 'Condition', onsetAge: { value: 5 } },
      { resourceType: 'Condition', onsetAge: { value: 5, code: 'a', system: ucum } },
    ],
    [
      'con-4',
      { resourceType: 'Condition', abatementString: 'x' },
      {
        resourceType: 'Condition',
        abatementString: 'x',
        clinicalStatus: {
          coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'resolved' }],
        },
      },
    ],
    [
      'con-3',
      { resourceType: 'Condition', category: [{ coding: [{ code: 'problem-list-item' }] }] },
      { resourceType: 'Condition', category: [{ coding: [{ code: 'encounter-diagnosis' }] }] },
    ],
    [
      'ppc-2',
      {
        resourceType: 'Consent',
        policyRule: { text: 'x' },
        scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
      },
      {
        resourceType: 'Consent',
        policyRule: { text: 'x' },
        patient: { display: 'x' },
        scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
      },
    ],
    ['org-1', { resourceType: 'Organization', active: true }, { resourceType: 'Organization', name: 'x' }],
    [
      'org-3',
      { resourceType: 'Organization', name: 'x', telecom: [{ use: 'home', system: 'phone', value: '1' }] },
      { resourceType: 'Organization', name: 'x', telecom: [{ use: 'work', system: 'phone', value: '1' }] },
    ],
    [
      'lst-1',
      { resourceType: 'List', emptyReason: { text: 'x' }, entry: [{ item: { display: 'x' } }] },
      { resourceType: 'List', emptyReason: { text: 'x' } },
    ],
    [
      'mdd-1',
      { resourceType: 'MedicationDispense', whenPrepared: '2020-02-01', whenHandedOver: '2020-01-01' },
      { resourceType: 'MedicationDispense', whenPrepared: '2020-01-01', whenHandedOver: '2020-02-01' },
    ],
    [
      'inv-1',
      { resourceType: 'Parameters', parameter: [{ name: 'a', part: [{ name: 'b' }] }] },
      { resourceType: 'Parameters', parameter: [{ name: 'a', part: [{ name: 'b', valueCode: 'c' }] }] },
    ],
    [
      'que-2',
      {
        resourceType: 'Questionnaire',
        item: [{ linkId: '1', type: 'group', item: [{ linkId: '1', type: 'string' }] }],
      },
      {
        resourceType: 'Questionnaire',
        item: [{ linkId: '1', type: 'group', item: [{ linkId: '2', type: 'string' }] }],
      },
    ],
    [
      'que-7',
      {
        resourceType: 'Questionnaire',
        item: [{ linkId: '1', type: 'string', enableWhen: [{ question: 'q', operator: 'exists', answerString: 'x' }] }],
      },
      {
        resourceType: 'Questionnaire',
        item: [
          { linkId: '1', type: 'string', enableWhen: [{ question: 'q', operator: 'exists', answerBoolean: true }] },
        ],
      },
    ],
    [
      'que-12',
      { resourceType: 'Questionnaire', item: [{ linkId: '1', type: 'string', enableWhen: [{}, {}] }] },
      {
        resourceType: 'Questionnaire',
        item: [{ linkId: '1', type: 'string', enableBehavior: 'all', enableWhen: [{}, {}] }],
      },
    ],
    [
      'ras-1',
      { resourceType: 'RiskAssessment', prediction: [{ probabilityRange: { low: { value: 1 } } }] },
      {
        resourceType: 'RiskAssessment',
        prediction: [
          { probabilityDecimal: 0.1 },
          { probabilityDecimal: new Decimal('0.10') },
          { probabilityRange: { low: { value: 1, code: '%', system: ucum } } },
        ],
      },
    ],
    [
      'ras-2',
      { resourceType: 'RiskAssessment', prediction: [{ probabilityDecimal: 101 }] },
      { resourceType: 'RiskAssessment', prediction: [{ probabilityDecimal: new Decimal('99.50') }] },
    ],
    [
      'dom-3',
      { ...observation, contained: [patient] },
      { ...observation, contained: [{ ...patient, id: 'p' }], subject: { reference: '#p' } },
    ],
    [
      'dom-4',
      { ...observation, contained: [{ ...patient, id: 'p', meta: { versionId: '1' } }], subject: { reference: '#p' } },
      { ...observation, contained: [{ ...patient, id: 'p', meta: { source: '#x' } }], subject: { reference: '#p' } },
    ],
    ['ctm-1', careTeam({ reference: '#q' }), careTeam({ reference: '#p' })],
    [
      'bdl-1',
      { resourceType: 'Bundle', type: 'collection', total: 1 },
      { resourceType: 'Bundle', type: 'searchset', total: 1 },
    ],
    [
      'bdl-3',
      { resourceType: 'Bundle', type: 'batch', entry: [{ resource: patient }] },
      { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: 'Patient' } }] },
    ],
    [
      'bdl-7',
      {
        resourceType: 'Bundle',
        type: 'collection',
        entry: [
          { fullUrl: 'urn:a', resource: patient },
          { fullUrl: 'urn:a', resource: patient },
        ],
      },
      {
        resourceType: 'Bundle',
        type: 'collection',
        entry: [
          { fullUrl: 'urn:a', resource: patient },
          { fullUrl: 'urn:b', resource: patient },
        ],
      },
    ],
    [
      'bdl-11',
      {
        resourceType: 'Bundle',
        type: 'document',
        identifier: { system: 'a', value: 'b' },
        timestamp: '2020-01-01T00:00:00Z',
        entry: [{ resource: patient }],
      },
      {
        resourceType: 'Bundle',
        type: 'document',
        identifier: { system: 'a', value: 'b' },
        timestamp: '2020-01-01T00:00:00Z',
        entry: [{ resource: { resourceType: 'Composition' } }],
      },
    ],
    [
      'vsd-1',
      { resourceType: 'ValueSet', compose: { include: [{ version: '1' }] } },
      { resourceType: 'ValueSet', compose: { include: [{ system: 'urn:a' }] } },
    ],
    [
      'csd-1',
      { resourceType: 'CodeSystem', concept: [{ code: 'a' }, { code: 'b', concept: [{ code: 'a' }] }] },
      { resourceType: 'CodeSystem', concept: [{ code: 'a' }, { code: 'b' }] },
    ],
    ['eld-16', element({ sliceName: 'a b' }), element({ sliceName: 'a-b/c@[d]' })],
    ['eld-19', element({ path: 'Patient.na me' }), element({ path: 'Patient.value[x]' })],
    [
      'sdf-0',
      { resourceType: 'StructureDefinition', name: 'no capitals' },
      { resourceType: 'StructureDefinition', name: 'MyPatient' },
    ],
  ])('%s', (key, violates, holds) => {
    expect(keysOf(violates)).toContain(key)
    expect(keysOf(holds)).not.toContain(key)
  })
})

function element(members: JsonObject): JsonObject {
  return {
    resourceType: 'StructureDefinition',
    differential: { element: [{ id: 'x', path: 'Patient.name', ...members }] },
  }
}

describe('where', () => {
  test.each<[string, Json, string]>([
    ['in the resource', { ...patient, contact: [{ gender: 'male' }] }, 'Patient.contact[0]'],
    [
      'in a datatype',
      { ...observation, component: [{ valuePeriod: { start: '2020', end: '2019' } }] },
      'Observation.component[0].value',
    ],
    [
      'in a contained resource',
      {
        ...observation,
        contained: [{ ...patient, id: 'p', contact: [{ gender: 'male' }] }],
        subject: { reference: '#p' },
      },
      'Observation.contained[0].contact[0]',
    ],
    [
      'in an entry',
      {
        resourceType: 'Bundle',
        type: 'collection',
        entry: [{ resource: { ...patient, contact: [{ gender: 'male' }] } }],
      },
      'Bundle.entry[0].resource.contact[0]',
    ],
    [
      'in a parameter',
      {
        resourceType: 'Parameters',
        parameter: [{ name: 'a', resource: { ...patient, contact: [{ gender: 'male' }] } }],
      },
      'Parameters.parameter[0].resource.contact[0]',
    ],
    [
      'in an extension',
      { ...patient, extension: [{ url: 'urn:a', valuePeriod: { start: '2020', end: '2019' } }] },
      'Patient.extension[0].value',
    ],
  ])('%s', (_, resource, place) =>
    expect(invariantIssues(resource).filter(({ severity }) => severity === 'error')).toMatchObject([
      { code: 'invariant', expression: [place] },
    ]),
  )
})

test('best practice is a warning', () =>
  expect(invariantIssues(patient)).toEqual([
    {
      severity: 'warning',
      code: 'invariant',
      diagnostics: expect.stringContaining('(dom-6)'),
      expression: ['Patient'],
    },
  ]))

test('contained resources need no narrative', () => {
  const text = { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' }
  expect(
    invariantIssues({ ...observation, text, contained: [{ ...patient, id: 'p' }], subject: { reference: '#p' } }),
  ).toEqual([])
})

test('%resource is the resource at hand, also in an entry', () => {
  const resource = {
    ...observation,
    code: { coding: [{ code: 'a' }] },
    valueString: 'x',
    component: [{ code: { coding: [{ code: 'a' }] } }],
  }
  expect(keysOf({ resourceType: 'Bundle', type: 'collection', entry: [{ resource }] })).toContain('obs-7')
})

test('a reference may be to what is in the same Bundle', () => {
  const entry = (resource: JsonObject, fullUrl: string): JsonObject => ({ fullUrl, resource })
  const bundle = (member: string): JsonObject => ({
    resourceType: 'Bundle',
    type: 'collection',
    entry: [
      entry(
        {
          resourceType: 'CareTeam',
          participant: [{ member: { reference: member }, onBehalfOf: { reference: 'Organization/1' } }],
        },
        'urn:uuid:1',
      ),
      entry(practitioner, 'https://example.org/Practitioner/p'),
      entry(patient, 'urn:uuid:3'),
    ],
  })
  expect(keysOf(bundle('Practitioner/p'))).not.toContain('ctm-1')
  expect(keysOf(bundle('urn:uuid:3'))).toContain('ctm-1')
  expect(keysOf(bundle('urn:uuid:4'))).not.toContain('ctm-1')
  expect(keysOf(bundle('Patient/elsewhere'))).toContain('ctm-1')
  expect(keysOf(bundle('Practitioner/elsewhere'))).not.toContain('ctm-1')
})

test('the resource stays as it was, decimals included', () => {
  const resource: JsonObject = {
    ...observation,
    valueQuantity: { value: new Decimal('1.00'), code: 'mg', system: ucum },
  }
  const before = JSON.stringify(resource)
  invariantIssues(resource)
  expect(JSON.stringify(resource)).toBe(before)
  expect((resource['valueQuantity'] as JsonObject)['value']).toBeInstanceOf(Decimal)
})

test('expressions that trace do not print', () => {
  const log = jest.spyOn(console, 'log').mockImplementation(() => undefined)
  invariantIssues({ resourceType: 'Questionnaire', item: [{ linkId: '1', type: 'display' }] })
  expect(log).not.toHaveBeenCalled()
  log.mockRestore()
})

test('what an expression cannot be evaluated on is told, not thrown', () => {
  const wrong: Json[] = [
    null,
    'x',
    { resourceType: 1 },
    { resourceType: 'X' },
    { ...patient, contact: 'x' },
    { ...patient, name: [{ period: { start: {}, end: [] } }] },
  ]
  for (const resource of wrong) expect(Array.isArray(invariantIssues(resource))).toBe(true)
  const twice = invariantIssues({ resourceType: 'ValueSet', name: ['A', 'B'] })
  expect(twice.map(({ severity, code }) => `${severity} ${code}`)).toContain('information incomplete')
})

test('one expression never takes long on a large resource', () => {
  const concept = Array.from({ length: 200_000 }, (_, i) => ({ code: `c${i}` }))
  const issues = invariantIssues({ resourceType: 'CodeSystem', status: 'draft', content: 'complete', concept })
  expect(issues.filter(({ severity }) => severity === 'error')).toEqual([])
  expect(issues.map(({ diagnostics }) => diagnostics)).toContain('the invariant csd-1 could not be evaluated here')
})

test('a large resource is given a limited time in all, and told what was not checked', () => {
  const concept = Array.from({ length: 21_000 }, (_, i) => ({ code: `c${i}` }))
  const resource = { resourceType: 'CodeSystem', status: 'draft', content: 'complete', concept }
  const issues = collect((findings) => {
    for (const _ of checkInvariants(resource, findings, 5));
  })
  const unchecked = issues.filter(({ diagnostics }) => diagnostics.includes('were not checked'))
  expect(unchecked).toEqual([expect.objectContaining({ severity: 'information', code: 'incomplete' })])
  expect(unchecked[0]!.expression?.[0]).toMatch(/^CodeSystem/)
})
