/**
 * The types of search parameters, with the examples of the specification.
 *
 * https://hl7.org/fhir/R4/search.html#ptypes
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Observation, Patient, RiskAssessment } from 'fhir/r4.js'
import { baseUrl, expectOutcome, get } from '../server.js'
import { type World, world } from './world.js'

let w: World

const found = async (type: string, query: string) => (await w.find(type, query)).sort().join(' ')

describe('number', () => {
  const risk = (probabilityDecimal: number): RiskAssessment => ({
    resourceType: 'RiskAssessment',
    status: 'final',
    subject: { display: 'x' },
    prediction: [{ probabilityDecimal }],
  })
  beforeAll(async () => {
    w = await world({ p99: risk(0.99), p100: risk(1), p996: risk(0.996), p96: risk(0.96), p104: risk(1.04) })
  })

  test.each([
    ['1.00', 'p100 p996'],
    ['1', 'p100 p104 p96 p99 p996'],
    ['0.99', 'p99'],
    ['eq0.960', 'p96'],
    ['ne1.00', 'p104 p96 p99'],
    ['gt0.99', 'p100 p104 p996'],
    ['ge0.99', 'p100 p104 p99 p996'],
    ['lt0.99', 'p96'],
    ['le0.99', 'p96 p99'],
    ['1e0', 'p100 p104 p96 p99 p996'],
    ['0.96,1.04', 'p104 p96'],
    ['ap0.96', 'p100 p104 p96 p99 p996'],
  ])('probability=%s finds %s', async (value, expected) => {
    expect(await found('RiskAssessment', `probability=${value}`)).toBe(expected)
  })

  test.each(['', 'abc', '1,x', 'xx1', '1e999', '1|2'])('probability=%s is 400', async (value) => {
    if (value !== '') expectOutcome(await get(`RiskAssessment?probability=${encodeURIComponent(value)}`), 400)
  })
})

describe('date', () => {
  const at = (effective: Partial<Observation>): Observation => ({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'x' },
    ...effective,
  })
  beforeAll(async () => {
    w = await world({
      year: at({ effectiveDateTime: '2013' }),
      month: at({ effectiveDateTime: '2013-01' }),
      day: at({ effectiveDateTime: '2013-01-14' }),
      instant: at({ effectiveDateTime: '2013-01-14T10:00:00Z' }),
      next: at({ effectiveDateTime: '2013-01-15T00:00:00Z' }),
      period: at({ effectivePeriod: { start: '2013-01-10', end: '2013-01-20' } }),
      since: at({ effectivePeriod: { start: '2013-02-01' } }),
      until: at({ effectivePeriod: { end: '2012-06-30' } }),
      none: at({}),
    })
  })

  test.each([
    // "2013-01-14: 2013-01-14T00:00 matches (obviously), 2013-01-14T10:00 matches, 2013-01-15T00:00 does not match"
    ['eq2013-01-14', 'day instant'],
    ['2013-01-14', 'day instant'],
    ['2013', 'day instant month next period year'],
    ['2013-01', 'day instant month next period'],
    ['2013-01-14T10:00Z', 'instant'],
    ['2013-01-14T12:00:00%2B02:00', 'instant'],
    // "all resources that have a date that is not 2013-01-14"
    ['ne2013-01-14', 'month next period since until year'],
    // "gt: the range above the search value intersects (i.e. overlaps) with the range of the target value"
    ['gt2013-01-14', 'month next period since year'],
    ['lt2013-01-14', 'month period until year'],
    ['ge2013-01-14', 'day instant month next period since year'],
    ['le2013-01-14', 'day instant month period until year'],
    // "sa: the range above the search value contains the range of the target value"
    ['sa2013-01-14', 'next since'],
    ['eb2013-01-14', 'until'],
    ['sa2012-12-31', 'day instant month next period since year'],
    ['ge2013-01-10&date=le2013-01-12', 'month period year'],
    ['2013-01-14,2013-01-15', 'day instant next'],
  ])('date=%s finds %s', async (value, expected) => {
    expect(await found('Observation', `date=${value}`)).toBe(expected)
  })

  test.each(['2013-13', '2013-02-30', '13-01-01', '2013-1-1', 'today', 'xx2013', '2013-01-14T25:00'])(
    'date=%s is 400',
    async (value) => {
      expectOutcome(await get(`Observation?date=${value}`), 400)
    },
  )
})

describe('string', () => {
  const named = (family: string, ...given: string[]): Patient => ({
    resourceType: 'Patient',
    name: [{ family, given }],
  })
  beforeAll(async () => {
    w = await world({
      eve: named('Carreno Quinones', 'Eve'),
      steven: named('Müller', 'Steven'),
      evelyn: named("O'Brien", 'Evelyn'),
      quote: named('50%_\\', 'severine'),
      empty: { resourceType: 'Patient' },
    })
  })

  test.each([
    // "Any patients with a name containing a given part with "eve" at the start of the name. This would include patients
    // with the given name "Eve", "Evelyn"."
    ['given=eve', 'eve evelyn'],
    ['given:contains=eve', 'eve evelyn quote steven'],
    ['given:exact=Eve', 'eve'],
    ['given:exact=eve', ''],
    ['family=carreño', 'eve'],
    ['family=muller', 'steven'],
    ['family=MÜLLER', 'steven'],
    ['family:exact=Müller', 'steven'],
    ['family:exact=Muller', ''],
    ['family=quinones', ''],
    ['family:contains=quinones', 'eve'],
    ['name=quin', ''],
    ['family=o%27brien', 'evelyn'],
    ['family:exact=50%25_%5C%5C', 'quote'],
    ['family:contains=50', 'quote'],
    ['given=steven,evelyn', 'evelyn steven'],
    ['given=eve&family=carreno', 'eve'],
  ])('%s finds %s', async (query, expected) => {
    expect(await found('Patient', query)).toBe(expected)
  })
})

describe('token', () => {
  const acme = 'http://acme.org/patient'
  beforeAll(async () => {
    w = await world({
      both: { resourceType: 'Patient', identifier: [{ system: acme, value: '2345' }], gender: 'male', active: true },
      bare: { resourceType: 'Patient', identifier: [{ value: '2345' }], gender: 'female', active: false },
      other: {
        resourceType: 'Patient',
        identifier: [
          { system: 'http://other', value: '2345' },
          { system: acme, value: 'aBc|$,' },
        ],
      },
      mail: {
        resourceType: 'Patient',
        telecom: [
          { system: 'email', value: 'a@b.example' },
          { system: 'phone', value: '+1' },
        ],
      },
    })
  })

  test.each([
    [`identifier=${acme}|2345`, 'both'],
    ['identifier=2345', 'bare both other'],
    ['identifier=|2345', 'bare'],
    [`identifier=${acme}|`, 'both other'],
    ['identifier=http://other|2345,|2345', 'bare other'],
    [`identifier=${acme}|aBc\\|\\$\\,`, 'other'],
    [`identifier=${acme}|abc\\|\\$\\,`, ''],
    ['gender=male', 'both'],
    ['gender=male,female', 'bare both'],
    ['gender:not=male', 'bare mail other'],
    ['gender=http://hl7.org/fhir/administrative-gender|male', 'both'],
    ['active=true', 'both'],
    ['email=a@b.example', 'mail'],
    ['email=%2B1', ''],
    ['phone=%2B1', 'mail'],
    ['gender:missing=true', 'mail other'],
    ['gender:missing=false', 'bare both'],
  ])('%s finds %s', async (query, expected) => {
    expect(await found('Patient', query.replaceAll('|', '%7C').replaceAll('\\', '%5C'))).toBe(expected)
  })
})

describe('token with text and types', () => {
  beforeAll(async () => {
    w = await world({
      headache: {
        resourceType: 'Condition',
        subject: { display: 'x' },
        code: {
          coding: [{ system: 'http://snomed.info/sct', code: '25064002', display: 'Headache (finding)' }],
          text: 'General headache',
        },
      },
      fracture: { resourceType: 'Condition', subject: { display: 'x' }, code: { text: 'Fractured wrist' } },
      typed: {
        resourceType: 'Patient',
        identifier: [
          {
            type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }] },
            system: 'urn:x',
            value: '446053',
          },
        ],
      },
    })
  })

  test.each([
    ['Condition', 'code:text=headache', 'headache'],
    ['Condition', 'code:text=head', 'headache'],
    ['Condition', 'code:text=fractured', 'fracture'],
    ['Condition', 'code=http://snomed.info/sct|25064002', 'headache'],
    ['Patient', 'identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053', 'typed'],
    ['Patient', 'identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|1', ''],
    ['Patient', 'identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|DL|446053', ''],
  ])('%s?%s finds %s', async (type, query, expected) => {
    expect(await found(type, query.replaceAll('|', '%7C'))).toBe(expected)
  })
})

describe('reference', () => {
  beforeAll(async () => {
    w = await world({
      pat: { resourceType: 'Patient' },
      group: { resourceType: 'Group', type: 'person', actual: true },
      local: ({ pat }) => ({
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: pat! },
      }),
      absolute: ({ pat }) => ({
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: `${baseUrl()}/${pat}` },
      }),
      grouped: ({ group }) => ({
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: group! },
      }),
      remote: {
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: 'http://elsewhere.example/fhir/Patient/1', type: 'Patient' },
      },
      logical: {
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { type: 'Patient', identifier: { system: 'http://acme.org', value: '1' } },
      },
    })
  })

  test.each([
    ['subject=PAT', 'absolute local'],
    ['subject=ID', 'absolute local'],
    ['subject:Patient=ID', 'absolute local'],
    ['subject:Group=ID', ''],
    ['patient=ID', 'absolute local'],
    ['patient=PAT', 'absolute local'],
    ['subject=BASE/PAT', 'absolute local'],
    ['subject=http://elsewhere.example/fhir/Patient/1', 'remote'],
    ['subject=Patient/1', ''],
    ['subject:identifier=http://acme.org|1', 'logical'],
    ['subject:identifier=http://acme.org|2', ''],
    ['subject=PAT,http://elsewhere.example/fhir/Patient/1', 'absolute local remote'],
  ])('%s finds %s', async (query, expected) => {
    const [, id] = w.refs['pat']!.split('/')
    const filled = query
      .replace('BASE', baseUrl())
      .replace('PAT', w.refs['pat']!)
      .replace('ID', id!)
      .replaceAll('|', '%7C')
    expect(await found('Observation', filled)).toBe(expected)
  })
})

describe('quantity', () => {
  const measured = (value: number, unit: string, code?: string): Observation => ({
    resourceType: 'Observation',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '8480-6' }] },
    valueQuantity: { value, unit, ...(code && { system: 'http://unitsofmeasure.org', code }) },
  })
  beforeAll(async () => {
    w = await world({
      mg: measured(5.4, 'mg', 'mg'),
      edge: measured(5.449, 'mg', 'mg'),
      g: measured(0.0054, 'g', 'g'),
      bare: measured(5.4, 'mg'),
      more: measured(6, 'mg', 'mg'),
      drops: measured(5.4, 'drops'),
    })
  })

  test.each([
    ['5.4', 'bare drops edge mg'],
    ['5.4||mg', 'bare edge mg'],
    ['5.4|http://unitsofmeasure.org|mg', 'edge g mg'],
    ['5.40|http://unitsofmeasure.org|mg', 'g mg'],
    ['0.0054|http://unitsofmeasure.org|g', 'edge g mg'],
    ['gt5.5|http://unitsofmeasure.org|mg', 'more'],
    ['le5.4|http://unitsofmeasure.org|mg', 'g mg'],
    ['ap5.4|http://unitsofmeasure.org|mg', 'edge g mg'],
    ['5.4e0|http://unitsofmeasure.org|mg', 'edge g mg'],
    ['5.4|http://unitsofmeasure.org|kg', ''],
  ])('value-quantity=%s finds %s', async (value, expected) => {
    expect(await found('Observation', `value-quantity=${encodeURIComponent(value)}`)).toBe(expected)
  })

  test.each(['mg', '5.4|a|b|c', 'gt|x|mg', '1.2.3'])('value-quantity=%s is 400', async (value) => {
    expectOutcome(await get(`Observation?value-quantity=${encodeURIComponent(value)}`), 400)
  })
})

describe('uri', () => {
  const valueSet = (url: string) => ({ resourceType: 'ValueSet' as const, status: 'draft' as const, url })
  beforeAll(async () => {
    w = await world({
      acme: valueSet('http://acme.org/fhir/ValueSet/123'),
      history: valueSet('http://acme.org/fhir/ValueSet/123/_history/5'),
      upper: valueSet('http://acme.org/fhir/valueset/123'),
      oid: valueSet('urn:oid:1.2.3.4.5'),
    })
  })

  test.each([
    ['url=http://acme.org/fhir/ValueSet/123', 'acme'],
    ['url:below=http://acme.org/fhir/', 'acme history upper'],
    ['url:below=http://acme.org/fhir/ValueSet', 'acme history'],
    ['url:above=http://acme.org/fhir/ValueSet/123/_history/5', 'acme history'],
    ['url=urn:oid:1.2.3.4.5', 'oid'],
    ['url=http://acme.org/fhir', ''],
  ])('%s finds %s', async (query, expected) => {
    expect(await found('ValueSet', query)).toBe(expected)
  })
})

describe('composite', () => {
  const pressure = (systolic: number, diastolic: number): Observation => ({
    resourceType: 'Observation',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '85354-9' }] },
    component: [
      {
        code: { coding: [{ system: 'http://loinc.org', code: '8480-6' }] },
        valueQuantity: { value: systolic, unit: 'mmHg' },
      },
      {
        code: { coding: [{ system: 'http://loinc.org', code: '8462-4' }] },
        valueQuantity: { value: diastolic, unit: 'mmHg' },
      },
    ],
  })
  beforeAll(async () => {
    w = await world({ high: pressure(150, 95), normal: pressure(120, 70), odd: pressure(70, 120) })
  })

  test.each([
    ['component-code-value-quantity=http://loinc.org|8480-6$gt100', 'high normal'],
    ['component-code-value-quantity=http://loinc.org|8480-6$lt100', 'odd'],
    ['component-code-value-quantity=8480-6$gt140,8462-4$gt110', 'high odd'],
    ['component-code-value-quantity=8480-6$120', 'normal'],
  ])('%s finds %s', async (query, expected) => {
    expect(await found('Observation', query.replaceAll('|', '%7C'))).toBe(expected)
  })

  test('a composite needs all its parts', async () => {
    expectOutcome(await get('Observation?component-code-value-quantity=8480-6'), 400)
  })
})

describe('special', () => {
  const at = (latitude: number, longitude: number) => ({
    resourceType: 'Location' as const,
    position: { latitude, longitude },
  })
  beforeAll(async () => {
    w = await world({ kampala: at(0.3476, 32.5825), entebbe: at(0.0512, 32.4637), nairobi: at(-1.2921, 36.8219) })
  })

  test.each([
    ['near=0.3476|32.5825|10|km', 'kampala'],
    ['near=0.3476|32.5825|50|km', 'entebbe kampala'],
    ['near=0.3476|32.5825|10000|m', 'kampala'],
    ['near=0.3476|32.5825|600', 'entebbe kampala nairobi'],
  ])('%s finds %s', async (query, expected) => {
    expect(await found('Location', query.replaceAll('|', '%7C'))).toBe(expected)
  })

  test.each(['near=x', 'near=91%7C0', 'near=0%7C0%7C1%7Cparsec', 'near=0'])('%s is 400', async (query) => {
    expectOutcome(await get(`Location?${query}`), 400)
  })
})
