import { describe, expect, test } from '@jest/globals'
import { compileFhirPath, type Json, type Resource, resourceTypes } from '../fhir/index.js'
import { Beyond, parseFhirPath } from './fhirpath-syntax.js'
import { compile, walk } from './paths.js'
import { context } from './testing.js'

/** What our closures find. */
function ours(expression: string, resource: Resource): Json[] {
  const compiled = compile(expression, resource.resourceType)
  const found: Json[] = []
  if (compiled.kind === 'boolean') {
    const result = compiled.of(resource, resource)
    if (result !== undefined) found.push(result)
  } else for (const path of compiled.paths) walk(path, (value) => void found.push(value))(resource, { root: resource })
  return found
}

const sorted = (values: unknown[]) => [...new Set(values.map((value) => JSON.stringify(value)))].sort()

const resources: Resource[] = [
  {
    resourceType: 'Patient',
    id: 'p',
    meta: { tag: [{ system: 'http://t', code: 'a' }], profile: ['http://p'], source: 'http://s' },
    extension: [
      {
        url: 'http://hl7.org/fhir/StructureDefinition/patient-extensions-Patient-mothersMaidenName',
        valueString: 'Smith',
      },
      { url: 'http://other', valueString: 'x' },
    ],
    identifier: [{ system: 'http://i', value: '1' }],
    name: [{ family: 'A', given: ['B', 'C'] }, { family: 'D' }],
    telecom: [{ system: 'phone', value: '1' }, { system: 'email', value: 'a@b' }, { value: 'neither' }],
    deceasedDateTime: '2014-01-01',
    birthDate: '2010-01-01',
    generalPractitioner: [{ reference: 'Practitioner/1' }, { reference: 'Organization/1' }],
    link: [{ other: { reference: 'Patient/2' }, type: 'seealso' }],
  },
  { resourceType: 'Patient', deceasedBoolean: false },
  { resourceType: 'Patient', deceasedBoolean: true },
  {
    resourceType: 'Observation',
    contained: [{ resourceType: 'Patient', id: 'c' }],
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '1' }], text: 'one' },
    subject: { reference: '#c' },
    effectivePeriod: { start: '2010' },
    valueQuantity: { value: 5, unit: 'mg' },
    component: [{ code: { text: 'x' }, valueString: 'y' }],
    hasMember: [{ reference: 'Observation/2' }],
  },
  {
    resourceType: 'Observation',
    subject: { reference: 'Group/1' },
    effectiveDateTime: '2010',
    valueCodeableConcept: { text: 'v' },
  },
  {
    resourceType: 'Observation',
    subject: { reference: 'Patient/1' },
    effectiveInstant: '2010-01-01T00:00:00Z',
    valueString: 's',
  },
  {
    resourceType: 'Appointment',
    participant: [
      { actor: { reference: 'Patient/1' } },
      { actor: { reference: 'Location/1' } },
      { actor: { display: 'x' } },
    ],
  },
  {
    resourceType: 'Bundle',
    entry: [{ resource: { resourceType: 'Composition', id: 'c' } }, { resource: { resourceType: 'Patient', id: 'p' } }],
  },
  {
    resourceType: 'Library',
    relatedArtifact: [
      { type: 'depends-on', resource: 'http://a|1' },
      { type: 'successor', resource: 'http://b' },
    ],
    useContext: [{ code: { code: 'age' }, valueRange: { low: { value: 1 } } }],
  },
  { resourceType: 'Condition', onsetAge: { value: 5, unit: 'a' }, abatementString: 'in spring' },
  {
    resourceType: 'MedicationRequest',
    medicationReference: { reference: 'Medication/1' },
    subject: { reference: 'Patient/1' },
  },
  { resourceType: 'ConceptMap', sourceUri: 'http://a', targetCanonical: 'http://b' },
]

test('every expression of R4 is within our part of FHIRPath', () => {
  for (const type of resourceTypes)
    for (const { expression } of context.searchParams.of(type))
      if (expression !== undefined) expect(() => compile(expression, type)).not.toThrow()
})

describe('our closures and the FHIRPath engine find the same', () => {
  test.each(resources.map((resource) => [resource.resourceType, resource] as const))('in a %s', (type, resource) => {
    for (const { expression } of context.searchParams.of(type)) {
      if (expression === undefined) continue
      let theirs: unknown[]
      try {
        theirs = compileFhirPath(expression)(resource)
      } catch {
        // The engine refuses `as` on several items, as FHIRPath says; search parameters mean each of them.
        continue
      }
      expect({ expression, found: sorted(ours(expression, resource)) }).toEqual({ expression, found: sorted(theirs) })
    }
  })

  const patient = resources[0]!
  test.each([
    'Patient.name.first().family',
    'Patient.name[1].family',
    "Patient.name.where(family = 'A').given",
    "Patient.name.where(family = 'A' and given.exists()).given",
    "Patient.name.where(family = 'X' or given.empty()).family",
    "Patient.name.where((family = 'A').not()).family",
    "Patient.telecom.where(system != 'phone').value",
    "Patient.extension('http://other').value",
    'Patient.extension.where(url = %resource.extension[1].url).value.as(string)',
    'Patient.deceased.exists()',
    'Patient.deceased is dateTime',
    'Patient.generalPractitioner.where(resolve() is Organization)',
    '(Patient.name | Patient.contact.name).family',
    'Patient.`name`.given',
    'name.family',
    'Observation.code',
  ])('%s', (expression) => {
    if (
      ![
        'Patient.name[1].family',
        'Patient.extension.where(url = %resource.extension[1].url).value.as(string)',
      ].includes(expression)
    )
      expect(sorted(ours(expression, patient))).toEqual(sorted(compileFhirPath(expression)(patient)))
    else expect(ours(expression, patient)).toEqual(expression.includes('name') ? ['D'] : ['x'])
  })
})

test.each([
  'Patient.name.given.first()',
  'Patient.birthDate.extension("x")',
  'Patient.name.select(given)',
  'Patient.birthDate > @2010',
  'Patient.name.given[0]',
  'Patient.name.',
  'Patient.name)',
  "'x",
  'Patient.name = Patient.name',
  'Patient.name.as(Nonsense)',
  '',
])('%s is beyond', (expression) => expect(() => compile(expression, 'Patient')).toThrow(Beyond))

test('reading an expression takes time in proportion to its length', () => {
  const started = performance.now()
  for (const text of ['('.repeat(2000), 'a.'.repeat(2000), "'".repeat(4001), '\\'.repeat(4000)])
    expect(() => parseFhirPath(text)).toThrow(Beyond)
  expect(performance.now() - started).toBeLessThan(1000)
})

test('a key that is no element is not followed', () => {
  expect(ours('Patient.name', JSON.parse('{"resourceType":"Patient","toString":1,"name":null}'))).toEqual([])
  expect(ours('Patient.name.given', { resourceType: 'Patient', name: [{ given: [null, 'x'] }] })).toEqual(['x'])
  expect(ours('Patient.name.given', { resourceType: 'Patient', name: 'text' })).toEqual([])
})
