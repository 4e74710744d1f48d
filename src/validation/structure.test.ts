import { describe, expect, test } from '@jest/globals'
import {
  Decimal,
  FhirError,
  type Issue,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  resourceTypes,
} from '../fhir/index.js'
import { issuesMax } from './findings.js'
import { refuseInvalid, structureIssues, warmUp } from './structure.js'

const extension: JsonObject = {
  url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason',
  valueCode: 'unknown',
}
const contained: JsonObject = { resourceType: 'Patient', id: 'p1', name: [{ text: 'x' }] }

/** https://hl7.org/fhir/R4/patient-example.json.html, shortened */
const patient: JsonObject = {
  resourceType: 'Patient',
  id: 'example',
  meta: { tag: [{ system: 'http://example.org', code: 'a' }] },
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml"><p>Peter</p></div>' },
  identifier: [
    {
      use: 'usual',
      type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }] },
      system: 'urn:oid:1.2.36.146.595.217.0.1',
      value: '12345',
      period: { start: '2001-05-06' },
      assigner: { display: 'Acme Healthcare' },
    },
  ],
  active: true,
  name: [{ use: 'official', family: 'Chalmers', given: ['Peter', 'James'] }],
  gender: 'male',
  birthDate: '1974-12-25',
  _birthDate: {
    extension: [
      { url: 'http://hl7.org/fhir/StructureDefinition/patient-birthTime', valueDateTime: '1974-12-25T14:35:45-05:00' },
    ],
  },
  deceasedBoolean: false,
  contact: [{ relationship: [{ text: 'N' }], name: { family: 'du Marché' } }],
  managingOrganization: { reference: 'Organization/1' },
}

/** https://hl7.org/fhir/R4/observation-example-f001-glucose.json.html, shortened, with a contained patient */
const observation: JsonObject = {
  resourceType: 'Observation',
  contained: [{ resourceType: 'Patient', id: 'p1', name: [{ text: 'contained' }] }],
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '15074-8' }] },
  subject: { reference: '#p1' },
  effectivePeriod: { start: '2013-04-02T09:30:10+01:00' },
  issued: '2013-04-03T15:30:10+01:00',
  performer: [{ reference: 'Practitioner/f005' }],
  valueQuantity: { value: new Decimal('6.30'), unit: 'mmol/l', system: 'http://unitsofmeasure.org', code: 'mmol/L' },
  referenceRange: [{ low: { value: 3.1 }, high: { value: 6.2 } }],
}

const condition: JsonObject = {
  resourceType: 'Condition',
  clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }] },
  subject: { reference: 'Patient/1' },
}

const bundle: JsonObject = {
  resourceType: 'Bundle',
  type: 'collection',
  entry: [{ fullUrl: 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520', resource: patient }, { resource: observation }],
}

const parameters: JsonObject = {
  resourceType: 'Parameters',
  parameter: [
    { name: 'a', valueString: 'x' },
    { name: 'b', resource: patient },
    { name: 'c', part: [{ name: 'd', valueInteger: 1 }] },
  ],
}

describe('is valid', () => {
  test.each<[string, Json]>([
    ['a patient', patient],
    ['an observation with a contained patient', observation],
    ['a condition', condition],
    ['a bundle', bundle],
    ['parameters', parameters],
    ['a resource of nothing but its type', { resourceType: 'Basic', code: { text: 'x' } }],
    [
      'a name whose given name has only an extension',
      changed(patient, 'name[0].given', ['Peter', null], 'name[0]._given', [null, { extension: [extension] }]),
    ],
    [
      'a null for each value that has no extension',
      changed(patient, 'name[0].given', ['a', 'b'], 'name[0]._given', [{ id: 'x' }, null]),
    ],
    [
      'given names of extensions only',
      changed(patient, 'name[0].given', undefined, 'name[0]._given', [{ extension: [extension] }]),
    ],
    [
      'a required value that is absent with a reason',
      changed(observation, 'status', undefined, '_status', { extension: [extension] }),
    ],
    [
      'a choice that is absent with a reason',
      changed(patient, 'deceasedBoolean', undefined, '_deceasedBoolean', { extension: [extension] }),
    ],
    ['a value with an id', changed(patient, '_gender', { id: 'g1' })],
    ['an element with an id', changed(patient, 'name[0].id', 'n1')],
    [
      'an extension of extensions',
      changed(patient, 'extension', [{ url: 'http://example.org/e', extension: [{ url: 'a', valueCode: 'b' }] }]),
    ],
    [
      'an extension whose value is absent with a reason',
      changed(patient, 'extension', [{ url: 'http://example.org/e', _valueCode: { extension: [extension] } }]),
    ],
    [
      'a modifier extension',
      changed(patient, 'modifierExtension', [{ url: 'http://example.org/m', valueBoolean: true }]),
    ],
    ['a versioned reference', changed(patient, 'managingOrganization.reference', 'Organization/1/_history/2')],
    [
      'an absolute reference',
      changed(patient, 'managingOrganization.reference', 'https://example.org/fhir/Organization/1'),
    ],
    [
      'a reference into a transaction',
      changed(patient, 'managingOrganization.reference', 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520'),
    ],
    ['a conditional reference', changed(patient, 'managingOrganization.reference', 'Organization?identifier=a|b')],
    [
      'a logical reference',
      changed(patient, 'managingOrganization', { identifier: { value: '1' }, type: 'Organization' }),
    ],
    [
      'a reference of any type',
      {
        resourceType: 'List',
        status: 'current',
        mode: 'working',
        subject: { reference: 'Patient/1' },
        entry: [{ item: { reference: 'Account/1' } }],
      },
    ],
    [
      'a contained resource that refers to its container',
      changed(observation, 'contained[0].generalPractitioner', undefined, 'contained[0].link', [
        { other: { reference: '#' }, type: 'seealso' },
      ]),
    ],
    [
      'a canonical of a contained resource',
      {
        resourceType: 'Questionnaire',
        status: 'draft',
        contained: [{ resourceType: 'ValueSet', id: 'v', status: 'draft' }],
        item: [{ linkId: '1', type: 'choice', answerValueSet: '#v' }],
      },
    ],
    [
      'questions in questions',
      {
        resourceType: 'Questionnaire',
        status: 'draft',
        item: [
          {
            linkId: '1',
            type: 'group',
            item: [{ linkId: '2', type: 'group', item: [{ linkId: '3', type: 'string' }] }],
          },
        ],
      },
    ],
    ['any currency by shape', { resourceType: 'Invoice', status: 'draft', totalNet: { value: 1, currency: 'ZAR' } }],
    ['a MIME type with parameters', { resourceType: 'Binary', contentType: 'text/plain; charset=utf-8' }],
    [
      'formats by their short names',
      {
        resourceType: 'CapabilityStatement',
        status: 'draft',
        kind: 'instance',
        date: '2020',
        fhirVersion: '4.0.1',
        format: ['json', 'application/fhir+xml'],
      },
    ],
    ['keys and strings with signs', changed(patient, 'name[0].family', '$a.b |,% __proto__ é😀')],
  ])('%s', (_, resource) => expect(structureIssues(resource)).toEqual([]))

  test('a resource of each type, as far as it needs no elements', () => {
    for (const type of resourceTypes)
      expect(structureIssues({ resourceType: type }).filter(({ code }) => code !== 'required')).toEqual([])
  })
})

type Mutation = [what: string, resource: Json, code: Issue['code'], expression: string | undefined]

describe('is refused', () => {
  test.each<Mutation>([
    ['what is no object', 'x', 'structure', undefined],
    ['null', null, 'structure', undefined],
    ['a list', [patient], 'structure', undefined],
    ['a number', new Decimal('1.0'), 'structure', undefined],
    ['a resource without a type', { id: '1' }, 'structure', undefined],
    ['a type that is no text', { resourceType: 1 }, 'structure', undefined],
    ['an unknown type', { resourceType: 'Patiant' }, 'structure', undefined],
    ['an abstract type', { resourceType: 'DomainResource' }, 'structure', undefined],
    ['a datatype', { resourceType: 'HumanName' }, 'structure', undefined],
    ['a name of Object.prototype', { resourceType: 'constructor' }, 'structure', undefined],
    ['an unknown element', changed(patient, 'brithDate', 'x'), 'structure', 'Patient'],
    ['an unknown element inside', changed(patient, 'name[0].familly', 'x'), 'structure', 'Patient.name[0]'],
    ['an element of another type', changed(patient, 'status', 'final'), 'structure', 'Patient'],
    ['toString', changed(patient, 'toString', 'x'), 'structure', 'Patient'],
    ['an unknown choice', changed(observation, 'valueDecimal', 1), 'structure', 'Observation'],
    [
      'resourceType inside an element',
      changed(patient, 'name[0].resourceType', 'HumanName'),
      'structure',
      'Patient.name[0]',
    ],
    ['fhir_comments', changed(patient, 'fhir_comments', ['x']), 'structure', 'Patient'],
    ['two of a choice', changed(patient, 'deceasedDateTime', '2020'), 'structure', 'Patient.deceased'],
    [
      'two of a choice, one only an extension',
      changed(patient, '_deceasedDateTime', { extension: [extension] }),
      'structure',
      'Patient.deceased',
    ],
    ['text for a boolean', changed(patient, 'active', 'true'), 'structure', 'Patient.active'],
    ['a number for text', changed(patient, 'gender', 1), 'structure', 'Patient.gender'],
    ['a decimal for text', changed(patient, 'gender', new Decimal('1.0')), 'structure', 'Patient.gender'],
    ['text for a number', changed(observation, 'valueQuantity.value', '6.3'), 'structure', 'Observation.value.value'],
    ['an object for text', changed(patient, 'birthDate', {}), 'structure', 'Patient.birthDate'],
    [
      'text for an object',
      changed(patient, 'managingOrganization', 'Organization/1'),
      'structure',
      'Patient.managingOrganization',
    ],
    [
      'a number for an object',
      changed(patient, 'managingOrganization', new Decimal('1.0')),
      'structure',
      'Patient.managingOrganization',
    ],
    ['null for a value', changed(patient, 'gender', null), 'structure', 'Patient.gender'],
    ['null for an object', changed(patient, 'managingOrganization', null), 'structure', 'Patient.managingOrganization'],
    ['null in a list of objects', changed(patient, 'name', [null]), 'structure', 'Patient.name[0]'],
    ['a list for one value', changed(patient, 'gender', ['male']), 'structure', 'Patient.gender'],
    [
      'a list for one object',
      changed(patient, 'managingOrganization', [{ display: 'x' }]),
      'structure',
      'Patient.managingOrganization',
    ],
    ['one value for a list', changed(patient, 'name[0].given', 'Peter'), 'structure', 'Patient.name[0].given'],
    ['one object for a list', changed(patient, 'name', { text: 'x' }), 'structure', 'Patient.name'],
    ['a list in a list', changed(patient, 'name', [[{ text: 'x' }]]), 'structure', 'Patient.name[0]'],
    ['an empty list', changed(patient, 'name', []), 'structure', 'Patient.name'],
    ['an empty object', changed(patient, 'name', [{}]), 'structure', 'Patient.name[0]'],
    ['an object with an id only', changed(patient, 'name', [{ id: 'x' }]), 'structure', 'Patient.name[0]'],
    ['an empty text', changed(patient, 'name[0].family', ''), 'value', 'Patient.name[0].family'],
    ['white space only', changed(patient, 'name[0].family', ' '), 'value', 'Patient.name[0].family'],
    ['a day that does not exist', changed(patient, 'birthDate', '2021-02-30'), 'value', 'Patient.birthDate'],
    ['an instant without a zone', changed(observation, 'issued', '2013-04-03T15:30:10'), 'value', 'Observation.issued'],
    ['an id with a slash', changed(patient, 'id', 'a/b'), 'value', 'Patient.id'],
    [
      'an active narrative',
      changed(patient, 'text.div', '<div xmlns="http://www.w3.org/1999/xhtml"><script/></div>'),
      'value',
      'Patient.text.div',
    ],
    ['a missing required value', changed(observation, 'status', undefined), 'required', 'Observation.status'],
    ['a missing required object', changed(observation, 'code', undefined), 'required', 'Observation.code'],
    ['a missing required value inside', changed(patient, 'text.status', undefined), 'required', 'Patient.text.status'],
    ['a missing required list', { resourceType: 'Linkage' }, 'required', 'Linkage.item'],
    [
      'a missing required choice',
      { resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject: { display: 'x' } },
      'required',
      'MedicationRequest.medication',
    ],
    ['a code out of the value set', changed(patient, 'gender', 'Male'), 'code-invalid', 'Patient.gender'],
    [
      'a code of another value set inside',
      changed(patient, 'name[0].use', 'final'),
      'code-invalid',
      'Patient.name[0].use',
    ],
    [
      'a concept out of the value set',
      changed(condition, 'clinicalStatus.coding[0].code', 'alive'),
      'code-invalid',
      'Condition.clinicalStatus',
    ],
    [
      'a concept of another system',
      changed(condition, 'clinicalStatus.coding[0].system', 'http://example.org'),
      'code-invalid',
      'Condition.clinicalStatus',
    ],
    [
      'a concept of text only',
      changed(condition, 'clinicalStatus', { text: 'active' }),
      'code-invalid',
      'Condition.clinicalStatus',
    ],
    [
      'a currency by its name',
      { resourceType: 'Invoice', status: 'draft', totalNet: { value: 1, currency: 'rand' } },
      'code-invalid',
      'Invoice.totalNet.currency',
    ],
    [
      'a MIME type without a subtype',
      { resourceType: 'Binary', contentType: 'text' },
      'code-invalid',
      'Binary.contentType',
    ],
    [
      'a reference to a type that is not allowed',
      changed(patient, 'managingOrganization.reference', 'Patient/1'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'an absolute reference to such a type',
      changed(patient, 'managingOrganization.reference', 'https://example.org/fhir/Patient/1'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a conditional reference to such a type',
      changed(patient, 'managingOrganization.reference', 'Patient?active=true'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a reference to an unknown type',
      changed(patient, 'managingOrganization.reference', 'Hospital/1'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a reference with an id that is none',
      changed(patient, 'managingOrganization.reference', 'Organization/a_b'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a reference without an id',
      changed(patient, 'managingOrganization.reference', 'Organization/'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a bare id as a reference',
      changed(patient, 'managingOrganization.reference', '1'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a reference with white space',
      changed(patient, 'managingOrganization.reference', 'https://example.org/a b'),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a reference whose type says otherwise',
      changed(patient, 'managingOrganization', { reference: 'Organization/1', type: 'Location' }),
      'value',
      'Patient.managingOrganization.reference',
    ],
    [
      'a reference to nothing contained',
      changed(observation, 'subject.reference', '#p2'),
      'value',
      'Observation.subject.reference',
    ],
    [
      'a reference to a contained resource of another type',
      changed(observation, 'performer[0].reference', '#p1', 'contained[0]', {
        resourceType: 'Group',
        id: 'p1',
        type: 'person',
        actual: false,
      }),
      'value',
      'Observation.performer[0].reference',
    ],
    [
      '# outside of a contained resource',
      changed(observation, 'subject.reference', '#'),
      'value',
      'Observation.subject.reference',
    ],
    [
      'a contained resource without an id',
      changed(observation, 'contained[0].id', undefined, 'subject', undefined),
      'required',
      'Observation.contained[0]',
    ],
    [
      'contained resources with the same id',
      changed(observation, 'contained', [contained, contained]),
      'value',
      'Observation.contained[0]',
    ],
    [
      'contained in contained',
      changed(observation, 'contained[0].contained', [contained]),
      'structure',
      'Observation.contained[0].contained[0]',
    ],
    [
      'a contained resource that is wrong',
      changed(observation, 'contained[0].gender', 'x'),
      'code-invalid',
      'Observation.contained[0].gender',
    ],
    ['a contained text', changed(observation, 'contained', ['x']), 'structure', 'Observation.contained[0]'],
    [
      'an entry that is wrong',
      changed(bundle, 'entry[1].resource.status', 'x'),
      'code-invalid',
      'Bundle.entry[1].resource.status',
    ],
    [
      'an entry of an unknown type',
      changed(bundle, 'entry[0].resource', { resourceType: 'X' }),
      'structure',
      'Bundle.entry[0].resource',
    ],
    [
      'an entry that refers to what another contains',
      changed(bundle, 'entry[0].resource.managingOrganization.reference', '#p1'),
      'value',
      'Bundle.entry[0].resource.managingOrganization.reference',
    ],
    [
      'a parameter whose resource is wrong',
      changed(parameters, 'parameter[1].resource.gender', 'x'),
      'code-invalid',
      'Parameters.parameter[1].resource.gender',
    ],
    [
      'a part that is wrong',
      changed(parameters, 'parameter[2].part[0].valueInteger', 1.5),
      'value',
      'Parameters.parameter[2].part[0].value',
    ],
    [
      'an extension without a url',
      changed(patient, 'extension', [{ valueCode: 'a' }]),
      'required',
      'Patient.extension[0].url',
    ],
    [
      'an extension without anything',
      changed(patient, 'extension', [{ url: 'http://example.org' }]),
      'structure',
      'Patient.extension[0]',
    ],
    [
      'an extension with value and extensions',
      changed(patient, 'extension', [{ url: 'http://example.org', valueCode: 'a', extension: [extension] }]),
      'structure',
      'Patient.extension[0]',
    ],
    [
      'an extension with two values',
      changed(patient, 'extension', [{ url: 'http://example.org', valueCode: 'a', valueString: 'b' }]),
      'structure',
      'Patient.extension[0].value',
    ],
    [
      'an extension of a primitive that is wrong',
      changed(patient, '_birthDate.extension[0].valueDateTime', 'x'),
      'value',
      'Patient.birthDate.extension[0].value',
    ],
    ['an underscore before a complex element', changed(patient, '_name', [{ id: 'x' }]), 'structure', 'Patient'],
    ['an underscore before an id', changed(patient, '_id', { extension: [extension] }), 'structure', 'Patient'],
    ['an underscore before a div', changed(patient, 'text._div', { id: 'x' }), 'structure', 'Patient.text'],
    [
      'an underscore before the url of an extension',
      changed(patient, '_birthDate.extension[0]._url', { id: 'x' }),
      'structure',
      'Patient.birthDate.extension[0]',
    ],
    ['text beside a primitive', changed(patient, '_gender', 'x'), 'structure', 'Patient.gender'],
    ['null beside a primitive', changed(patient, '_gender', null), 'structure', 'Patient.gender'],
    ['a list beside one primitive', changed(patient, '_gender', [{ id: 'x' }]), 'structure', 'Patient.gender'],
    [
      'an object beside a list of primitives',
      changed(patient, 'name[0]._given', { id: 'x' }),
      'structure',
      'Patient.name[0].given',
    ],
    [
      'nothing but an id for a primitive',
      changed(patient, 'gender', undefined, '_gender', { id: 'x' }),
      'structure',
      'Patient.gender',
    ],
    ['an empty object beside a primitive', changed(patient, '_gender', {}), 'structure', 'Patient.gender'],
    ['a value beside a primitive', changed(patient, '_gender', { value: 'x' }), 'structure', 'Patient.gender'],
    [
      'lists of unequal length',
      changed(patient, 'name[0]._given', [{ id: 'x' }]),
      'structure',
      'Patient.name[0].given',
    ],
    ['an empty list beside primitives', changed(patient, 'name[0]._given', []), 'structure', 'Patient.name[0].given'],
    [
      'null without an extension',
      changed(patient, 'name[0].given', ['a', null]),
      'structure',
      'Patient.name[0].given[1]',
    ],
    [
      'null on both sides',
      changed(patient, 'name[0].given', ['a', null], 'name[0]._given', [{ id: 'x' }, null]),
      'structure',
      'Patient.name[0].given[1]',
    ],
    [
      'null where there are no values at all',
      changed(patient, 'name[0].given', undefined, 'name[0]._given', [null]),
      'structure',
      'Patient.name[0].given[0]',
    ],
    [
      'an id in an array for a null',
      changed(patient, 'name[0].given', ['a', null], 'name[0]._given', [null, { id: 'x' }]),
      'structure',
      'Patient.name[0].given[1]',
    ],
  ])('%s', (_, resource, code, expression) => {
    const issues = structureIssues(resource)
    expect(issues.map((issue) => [issue.code, issue.expression?.[0]])).toContainEqual([code, expression])
    for (const { severity, diagnostics } of issues) {
      expect(severity).toBe('error')
      expect(diagnostics.length).toBeGreaterThan(10)
    }
  })
})

describe('what is reported', () => {
  test('is everything at once', () => {
    const issues = structureIssues(changed(patient, 'gender', 'x', 'birthDate', 'x', 'name[0].foo', 1, 'active', 1))
    expect(issues.map(({ expression }) => expression?.[0]).sort()).toEqual([
      'Patient.active',
      'Patient.birthDate',
      'Patient.gender',
      'Patient.name[0]',
    ])
  })

  test('suggests the name that was meant', () => {
    expect(structureIssues({ ...patient, brithDate: '1' })[0]?.diagnostics).toContain('did you mean "birthDate"?')
    expect(structureIssues({ resourceType: 'patient' })[0]?.diagnostics).toContain('did you mean "Patient"?')
    expect(structureIssues({ ...observation, value: 1 })[0]?.diagnostics).toContain('Observation')
  })

  test('names the codes to choose from', () =>
    expect(structureIssues({ ...patient, gender: 'x' })[0]?.diagnostics).toContain('male | female | other | unknown'))

  test('never quotes a value', () => {
    const secret = 'SECRET value 1974'
    const told = JSON.stringify(everyStringReplaced(bundle, secret).flatMap(structureIssues))
    expect(told).not.toContain('SECRET')
  })

  test('never quotes a key that may be patient data', () =>
    expect(JSON.stringify(structureIssues({ ...patient, 'Peter Chalmers': 1 }))).not.toContain('Chalmers'))

  test('ends at a hundred issues', () => {
    const many = { ...patient, name: Array.from({ length: 100_000 }, () => ({ nmae: 1 })) }
    const start = performance.now()
    expect(structureIssues(many)).toHaveLength(issuesMax)
    expect(performance.now() - start).toBeLessThan(3000)
  })

  test('does not depend on what was checked before', () => {
    structureIssues(observation)
    expect(
      structureIssues({
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: '#p1' },
      }),
    ).toHaveLength(1)
  })
})

test('trees deeper than any reader gives are refused, not followed', () => {
  let extension: JsonObject = { url: 'a', valueCode: 'b' }
  for (let i = 0; i < 50_000; i++) extension = { url: 'a', extension: [extension] }
  expect(structureIssues({ resourceType: 'Basic', code: { text: 'x' }, extension: [extension] })).toHaveLength(1)
})

test('any JSON at any place of a resource gives issues and throws nothing', () => {
  const nasty: Json[] = [
    null,
    true,
    0,
    -1,
    1.5,
    '',
    'x',
    '#',
    new Decimal('1.0'),
    [],
    [null],
    [[]],
    {},
    { a: 1 },
    ['x'],
    [{}],
  ]
  for (const resource of [patient, observation, bundle, parameters, condition])
    for (const value of nasty) for (const mutant of everyPlaceReplaced(resource, value)) structureIssues(mutant)
})

describe('a write is refused', () => {
  const statusOf = (resource: Json): number | undefined => {
    try {
      refuseInvalid(resource)
      return undefined
    } catch (error) {
      return error instanceof FhirError ? error.status : 0
    }
  }

  test.each<[string, Json, number | undefined]>([
    ['not, if it is valid', patient, undefined],
    ['with 400 for its structure', changed(patient, 'foo', 1), 400],
    ['with 400 for a missing element', changed(observation, 'status', undefined), 400],
    ['with 422 for a code', changed(patient, 'gender', 'x'), 422],
    ['with 400 for both', changed(patient, 'gender', 'x', 'foo', 1), 400],
  ])('%s', (_, resource, status) => expect(statusOf(resource)).toBe(status))
})

test('the tables of all types are made beforehand in no time, and unknown types do no harm', () => {
  const start = performance.now()
  warmUp([...resourceTypes, 'no type'])
  expect(performance.now() - start).toBeLessThan(3000)
})

test('digits of decimals survive reading and are accepted', () =>
  expect(
    structureIssues(
      parseJson('{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'),
    ),
  ).toEqual([]))

/** A copy of the resource with values at paths such as `name[0].family`; undefined removes. */
function changed(resource: JsonObject, ...changes: (Json | undefined)[]): JsonObject {
  const copy = clone(resource) as JsonObject
  for (let i = 0; i < changes.length; i += 2) {
    const steps = String(changes[i])
      .split(/[.[\]]+/)
      .filter(Boolean)
    const last = steps.pop()!
    let at: Record<string, Json> = copy
    for (const step of steps) at = at[step] as Record<string, Json>
    const value = changes[i + 1]
    if (value === undefined) delete at[last]
    else at[last] = value
  }
  return copy
}

function clone(value: Json): Json {
  if (Array.isArray(value)) return value.map(clone)
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, clone(member)]))
    : value
}

/** The resource once for each of its places, with the value there. */
function* everyPlaceReplaced(resource: Json, value: Json): Generator<Json> {
  yield value
  if (!isObject(resource) && !Array.isArray(resource)) return
  for (const [key, member] of Object.entries(resource))
    for (const replaced of everyPlaceReplaced(member, value)) {
      const copy = Array.isArray(resource) ? [...resource] : { ...resource }
      ;(copy as Record<string, Json>)[key] = replaced
      yield copy
    }
}

/** The resource once for each of its strings, with `text` in its place; the type of a resource stays. */
function everyStringReplaced(resource: Json, text: string): Json[] {
  return [...everyPlaceReplaced(resource, text)].filter((each) => isObject(each) && each['resourceType'] !== text)
}
