import { describe, expect, test } from '@jest/globals'
import { type Resource, standardSearchParams } from '../fhir/index.js'
import { indexed } from './indexed.js'
import { searchParams } from './params.js'
import { context, tree } from './testing.js'

const entriesOf = (resource: object, param: string, changes: object = {}) =>
  indexed(resource as Resource, { ...context, ...changes }).filter(
    (entry) => entry.param === param || entry.param.startsWith(`${param}:`),
  )

test.each([
  [
    {
      resourceType: 'Patient',
      identifier: [{ system: 's', value: '1', type: { coding: [{ system: 't', code: 'MR' }] } }],
    },
    'identifier',
    [
      { kind: 'token', param: 'identifier', system: 's', code: '1' },
      { kind: 'token', param: 'identifier:of-type', system: 't|MR', code: '1' },
    ],
  ],
  [
    { resourceType: 'Condition', code: { text: 'T', coding: [{ code: 'c', display: 'D' }] } },
    'code',
    [
      { kind: 'string', param: 'code:text', value: 'T' },
      { kind: 'token', param: 'code', code: 'c' },
      { kind: 'string', param: 'code:text', value: 'D' },
    ],
  ],
  [
    { resourceType: 'Patient', gender: 'male' },
    'gender',
    [{ kind: 'token', param: 'gender', system: 'http://hl7.org/fhir/administrative-gender', code: 'male' }],
  ],
  [
    { resourceType: 'Observation', subject: { reference: 'Patient/1/_history/2', identifier: { value: 'i' } } },
    'subject',
    [
      { kind: 'reference', param: 'subject', type: 'Patient', id: '1', version: '2' },
      { kind: 'token', param: 'subject:identifier', code: 'i' },
    ],
  ],
  [
    { resourceType: 'Observation', effectiveDateTime: '2013-01' },
    'date',
    [{ kind: 'interval', param: 'date', lo: Date.UTC(2013, 0), hi: Date.UTC(2013, 1) - 1 }],
  ],
  [
    { resourceType: 'Bundle', type: 'document', entry: [{ resource: { resourceType: 'Composition', id: 'c' } }] },
    'composition',
    [{ kind: 'reference', param: 'composition', type: 'Composition', id: 'c' }],
  ],
  [
    {
      resourceType: 'DiagnosticReport',
      extension: [
        {
          url: 'http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition',
          valueReference: { reference: 'Condition/1' },
        },
      ],
    },
    'assessed-condition',
    [{ kind: 'reference', param: 'assessed-condition', type: 'Condition', id: '1' }],
  ],
  [
    { resourceType: 'Location', position: { latitude: 1.5, longitude: 2 } },
    'near',
    [{ kind: 'position', param: 'near', latitude: 1.5, longitude: 2 }],
  ],
])('%j by %s', (resource, param, entries) => expect(entriesOf(resource, param)).toEqual(entries))

test('a quantity has its number as recorded and in base units', () =>
  expect(
    entriesOf(
      tree(
        '{"resourceType":"Observation","valueQuantity":{"value":5.40,"comparator":"<=","system":"http://unitsofmeasure.org","code":"mg","unit":"mg"}}',
      ),
      'value-quantity',
    ),
  ).toEqual([
    {
      kind: 'quantity',
      param: 'value-quantity',
      lo: -Number.MAX_VALUE,
      hi: 5.4,
      system: 'http://unitsofmeasure.org',
      code: 'mg',
      unit: 'mg',
      canonical: { code: 'g', lo: -Number.MAX_VALUE, hi: 0.0054 },
    },
  ]))

test('a composite has one entry for each element with all its components', () =>
  expect(
    entriesOf(
      {
        resourceType: 'Observation',
        component: [
          { code: { coding: [{ code: 'a' }] }, valueString: 'not coded' },
          { code: { coding: [{ code: 'b' }] }, valueCodeableConcept: { coding: [{ code: 'v' }], text: 'left out' } },
        ],
      },
      'component-code-value-concept',
    ),
  ).toEqual([
    {
      kind: 'composite',
      param: 'component-code-value-concept',
      components: [[{ kind: 'token', param: '$0', code: 'b' }], [{ kind: 'token', param: '$1', code: 'v' }]],
    },
  ]))

test('equal entries stand once, also when there are many', () => {
  const names = (count: number) => ({
    resourceType: 'Patient',
    name: Array(count).fill({ family: 'Same', given: ['Other'] }),
  })
  const few = indexed(names(2) as Resource, { ...context, fullText: false })
  expect(indexed(names(500) as Resource, { ...context, fullText: false })).toEqual(few)
  expect(few.filter(({ param }) => param === 'family')).toHaveLength(1)
})

test('what stores keep as columns, and words if they are not wanted, make no entries', () => {
  const patient: Resource = {
    resourceType: 'Patient',
    id: 'p',
    meta: { lastUpdated: '2020-01-01T00:00:00Z' },
    name: [{ text: 'a' }],
  }
  const params = indexed(patient, { ...context, fullText: false }).map(({ param }) => param)
  expect(params).not.toContain('_id')
  expect(params).not.toContain('_lastUpdated')
  expect(params).not.toContain('_content')
  expect(indexed(patient, context).map(({ param }) => param)).toContain('_content')
})

test('words leave out links, dates, references and data', () => {
  const words = indexed(
    {
      resourceType: 'DocumentReference',
      text: { div: '<div>Caf&#233; &lt;3 <p title="hidden">a</p>b</div>' },
      subject: { reference: 'Patient/secret', display: 'Jane' },
      date: '2020-01-01',
      content: [{ attachment: { url: 'http://secret', data: 'c2VjcmV0', title: 'x'.repeat(65) } }],
    },
    context,
  ).filter(({ kind }) => kind === 'text')
  expect(words).toEqual([
    { kind: 'text', param: '_text', words: 'cafe 3 a b' },
    { kind: 'text', param: '_content', words: 'cafe 3 a b jane' },
  ])
})

describe('wrong types anywhere add nothing and fail nothing', () => {
  const wrong = [
    null,
    1,
    true,
    '',
    'x',
    [],
    [null],
    [[1]],
    {},
    { value: {} },
    { coding: 'x' },
    { reference: 1 },
    [{ system: 1, value: 2 }],
  ]
  const properties = [
    'identifier',
    'code',
    'subject',
    'valueQuantity',
    'effectivePeriod',
    'effectiveTiming',
    'component',
  ]
  test.each([
    ...properties,
    'valueSampledData',
    'text',
    'meta',
    'contained',
    'extension',
    'valueRange',
    'valueDateTime',
  ])('%s', (property) => {
    for (const value of wrong)
      expect(() => indexed({ resourceType: 'Observation', [property]: value } as Resource, context)).not.toThrow()
  })
})

test('a parameter that was uploaded is indexed, in our part of FHIRPath and beyond', () => {
  const custom = (code: string, expression: string) => ({
    url: `http://x/${code}`,
    code,
    base: ['Patient'],
    type: 'string' as const,
    expression,
    state: 'indexing' as const,
  })
  const params = searchParams([
    custom('nick', "Patient.name.where(use = 'nickname').given"),
    custom('initial', "Patient.name.given.select($this.substring(0, 1) + '.')"),
    custom('broken', 'Patient.name.('),
    custom('failing', "Patient.name.given + 'x'"),
  ])
  const patient = { resourceType: 'Patient', name: [{ use: 'nickname', given: ['Bob', 'Ann'] }] }
  expect(entriesOf(patient, 'nick', { searchParams: params })).toEqual([
    { kind: 'string', param: 'nick', value: 'Bob' },
    { kind: 'string', param: 'nick', value: 'Ann' },
  ])
  expect(entriesOf(patient, 'initial', { searchParams: params })).toEqual([
    { kind: 'string', param: 'initial', value: 'B.' },
    { kind: 'string', param: 'initial', value: 'A.' },
  ])
  expect(entriesOf(patient, 'broken', { searchParams: params })).toEqual([])
  expect(entriesOf(patient, 'failing', { searchParams: params })).toEqual([])
})

test('each type of value that R4 searches is indexed', () => {
  // A parameter without emitters would be accepted and never find anything.
  const never = standardSearchParams.filter(({ expression, type }) => expression === undefined && type !== 'special')
  expect(never.map(({ code }) => code).sort()).toEqual(['_content', '_query', '_text', 'age', 'birthOrderBoolean'])
})
