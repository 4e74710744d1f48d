/**
 * The examples of the specification, found or not found.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import { describe, expect, test } from '@jest/globals'
import type { JsonObject } from '../fhir/index.js'
import { finds, found, tree } from './testing.js'

const encode = (value: string) => encodeURIComponent(value)

describe('dates', () => {
  const born = (birthDate: string): JsonObject => ({ resourceType: 'Patient', birthDate })
  const recorded = (value: string): JsonObject => ({ resourceType: 'Observation', effectiveDateTime: value })
  const over = (start?: string, end?: string): JsonObject => ({
    resourceType: 'Observation',
    effectivePeriod: { ...(start && { start }), ...(end && { end }) },
  })

  test.each([
    ['2013-01-14', 'eq2013-01-14', true],
    ['2013-01-14T00:00:00Z', 'eq2013-01-14', true],
    ['2013-01-14T10:00:00Z', 'eq2013-01-14', true],
    ['2013-01-15T00:00:00Z', 'eq2013-01-14', false],
    ['2013-01', 'eq2013-01-14', false],
    ['2013-01-14', 'eq2013-01', true],
    ['2013-01-14', '2013', true],
    ['2013-01-15T00:00:00Z', 'ne2013-01-14', true],
    ['2013-01-14T00:00:00Z', 'ne2013-01-14', false],
    ['2013-01-14T10:00:00Z', 'ne2013-01-14', false],
    ['2013-01-14T10:00:00Z', 'lt2013-01-14T10:00:00Z', false],
    ['2013-01-14T09:59:59Z', 'lt2013-01-14T10:00:00Z', true],
    ['2013-01-13T23:59:59Z', 'lt2013-01-14', true],
    ['2013-01-14T00:00:00Z', 'gt2013-01-14', false],
    ['2013-01-15T00:00:00Z', 'gt2013-01-14', true],
    ['2013-01-14T10:00:00Z', 'gt2013-01-14T10:00Z', false],
    ['2013-01-14T10:01:00Z', 'gt2013-01-14T10:00Z', true],
    ['2013-03-14', 'ge2013-03-14', true],
    ['2013-03-13T23:59:59Z', 'ge2013-03-14', false],
    ['2013-03', 'ge2013-03-14', true],
    ['2013-03-14', 'le2013-03-14', true],
    ['2013-03-15', 'le2013-03-14', false],
    ['2013-03-15', 'sa2013-03-14', true],
    ['2013-03-14T23:00:00Z', 'sa2013-03-14', false],
    ['2013-03', 'sa2013-03-14', false],
    ['2013-03-13', 'eb2013-03-14', true],
    ['2013-03', 'eb2013-03-14', false],
    ['2013-03-14', 'ap2013-03-14', true],
    ['2013-12-31', 'ap2013-03-14', false],
    ['2013-09-01', 'ap2013-03-14', true],
    ['2013-01-14T10:00:00.500Z', 'eq2013-01-14T10:00:00Z', true],
    ['2013-01-14T10:00:00.500Z', 'gt2013-01-14T10:00:00.499Z', true],
    ['2013-01-14T10:00:00+02:00', 'eq2013-01-14T08:00:00Z', true],
    ['2013-01-14T10:00:00+02:00', 'eq2013-01-14T10:00:00+02:00', true],
  ])('%s against %s', async (value, asked, expected) =>
    expect(await finds(recorded(value), `Observation?date=${encode(asked)}`)).toBe(expected),
  )

  test.each([
    [over('2013-01-01', '2013-12-31'), 'eq2013', true],
    [over('2013-01-01', '2014-01-01'), 'eq2013', false],
    [over('2013-01-01', '2014-01-01'), 'gt2013', true],
    [over('2013-01-01'), 'gt2050', true],
    [over('2013-01-01'), 'sa2012', true],
    [over('2013-01-01'), 'sa2013-01-01', false],
    [over(undefined, '2013-01-01'), 'lt1950', true],
    [over(undefined, '2013-01-01'), 'eb2013-01-02', true],
    [over(undefined, '2013-01-01'), 'eb2013-01-01', false],
    [over('2013-01-23T13:00Z', '2013-01-25'), 'sa2013-01-22', true],
  ])('the period %j against %s', async (resource, asked, expected) =>
    expect(await finds(resource, `Observation?date=${asked}`)).toBe(expected),
  )

  test('the outer limits of a timing are what counts', async () => {
    const request: JsonObject = {
      resourceType: 'ServiceRequest',
      occurrenceTiming: { event: ['2013-02-01', '2013-02-11'], repeat: { boundsPeriod: { end: '2013-03-01' } } },
    }
    expect(await finds(request, 'ServiceRequest?occurrence=gt2013-02-20')).toBe(true)
    expect(await finds(request, 'ServiceRequest?occurrence=gt2013-03-01')).toBe(false)
  })

  test('two dates make a range', async () => {
    const patients = ['2010-01-01', '2011-06-01', '2012-01-01'].map((date, i) => ({ ...born(date), id: `${i}` }))
    expect(await found(patients, 'Patient?birthdate=ge2010-01-02&birthdate=le2011-12-31')).toEqual(['1'])
  })

  test('a plus that was not encoded is taken for one', async () =>
    expect(await finds(recorded('2013-01-14T10:00:00+02:00'), 'Observation?date=2013-01-14T10:00:00+02:00')).toBe(true))

  test('_lastUpdated is when the version was made', async () => {
    expect(await finds(born('2010'), 'Patient?_lastUpdated=gt2010-10-01')).toBe(true)
    expect(await finds(born('2010'), 'Patient?_lastUpdated=lt2010-10-01')).toBe(false)
  })
})

describe('numbers', () => {
  const risk = (value: string): JsonObject =>
    tree(`{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":${value}}]}`)

  test.each([
    ['100', '100', true],
    ['99.5', '100', true],
    ['99.49', '100', false],
    ['100.49', '100', true],
    ['100.5', '100', false],
    ['100.004', '100.00', true],
    ['100.005', '100.00', false],
    ['99.995', '100.00', true],
    ['95', '1e2', true],
    ['94.9', '1e2', false],
    ['104.9', '1e2', true],
    ['105', '1e2', false],
    ['99', 'lt100', true],
    ['100', 'lt100', false],
    ['100', 'le100', true],
    ['100.1', 'le100', false],
    ['100', 'gt100', false],
    ['100.1', 'gt100', true],
    ['100', 'ge100', true],
    ['100', 'ne100', false],
    ['100.5', 'ne100', true],
    ['0.85', 'gt0.8', true],
    ['109', 'ap100', true],
    ['111', 'ap100', false],
    ['100.1', 'sa100', true],
    ['99.9', 'eb100', true],
    ['-5', 'lt0', true],
    ['-5', '-5', true],
    ['1.00', '1', true],
    ['1e-3', '0.001', true],
  ])('%s against %s', async (value, asked, expected) =>
    expect(await finds(risk(value), `RiskAssessment?probability=${asked}`)).toBe(expected),
  )

  test('an element of whole numbers is compared exactly', async () => {
    const sequence: JsonObject = { resourceType: 'MolecularSequence', variant: [{ start: 100 }] }
    expect(await finds(sequence, 'MolecularSequence?variant-start=100')).toBe(true)
    expect(await finds({ ...sequence, variant: [{ start: 101 }] }, 'MolecularSequence?variant-start=100')).toBe(false)
  })

  test('a range reaches from low to high', async () => {
    const range: JsonObject = {
      resourceType: 'RiskAssessment',
      prediction: [{ probabilityRange: { low: { value: 0.2 }, high: { value: 0.4 } } }],
    }
    expect(await finds(range, 'RiskAssessment?probability=gt0.3')).toBe(true)
    expect(await finds(range, 'RiskAssessment?probability=gt0.4')).toBe(false)
    expect(await finds(range, 'RiskAssessment?probability=sa0.1')).toBe(true)
  })
})

describe('quantities', () => {
  const UCUM = 'http://unitsofmeasure.org'
  const measured = (value: string, unit: JsonObject, comparator?: string): JsonObject => ({
    resourceType: 'Observation',
    valueQuantity: { value: tree(`{"v":${value}}`)['v']!, ...unit, ...(comparator && { comparator }) },
  })
  const mg = { system: UCUM, code: 'mg', unit: 'mg' }
  const g = { system: UCUM, code: 'g', unit: 'gram' }

  test.each([
    ['5.4', mg, '5.4', true],
    ['5.4', mg, `5.4|${UCUM}|mg`, true],
    ['5.44', mg, `5.4|${UCUM}|mg`, true],
    ['5.45', mg, `5.4|${UCUM}|mg`, false],
    ['5.35', mg, `5.4|${UCUM}|mg`, true],
    ['0.0054', g, `5.4|${UCUM}|mg`, true],
    ['5.4', mg, `5.40e-3|${UCUM}|g`, true],
    ['5.4', mg, `le5.4|${UCUM}|mg`, true],
    ['0.0054', g, `le5.4|${UCUM}|mg`, true],
    ['0.0054', g, `lt5.4|${UCUM}|mg`, false],
    ['0.0054', g, `ge5.4|${UCUM}|mg`, true],
    ['5.4', mg, '5.4||mg', true],
    ['5.4', { unit: 'mg' }, '5.4||mg', true],
    ['5.4', { unit: 'mg' }, `5.4|${UCUM}|mg`, false],
    ['5.4', mg, `ap5.0|${UCUM}|mg`, true],
    ['5.6', mg, `ap5.0|${UCUM}|mg`, false],
    ['5.4', { system: 'http://mine', code: 'blob' }, '5.4|http://mine|blob', true],
    ['5.4', { system: 'http://yours', code: 'blob' }, '5.4|http://mine|blob', false],
    ['5.4', { system: UCUM, code: '[IU]' }, `5.4|${UCUM}|[IU]`, true],
    ['37', { system: UCUM, code: 'Cel' }, `310.15|${UCUM}|K`, true],
    ['98.6', { system: UCUM, code: '[degF]' }, `37.0|${UCUM}|Cel`, true],
    ['50', { system: UCUM, code: '{copies}/mL' }, `50|${UCUM}|/mL`, true],
  ])('%s %j against %s', async (value, unit, asked, expected) =>
    expect(await finds(measured(value, unit), `Observation?value-quantity=${encode(asked)}`)).toBe(expected),
  )

  test.each([
    ['<', 'lt3', true],
    ['<', 'gt5', false],
    ['<', 'ge5', false],
    ['<=', 'ge5', false],
    ['>', 'gt100', true],
    ['>', 'le5', false],
    ['>=', 'sa4', true],
    ['<', 'eb6', true],
    ['<', 'eq5', false],
  ])('a value %s 5 against %s', async (comparator, asked, expected) => {
    expect(await finds(measured('5', mg, comparator), `Observation?value-quantity=${asked}`)).toBe(expected)
    const inGrams = `${asked}|${UCUM}|mg`
    expect(await finds(measured('5', mg, comparator), `Observation?value-quantity=${encode(inGrams)}`)).toBe(expected)
  })

  test('money is a quantity in its currency', async () => {
    const invoice: JsonObject = { resourceType: 'Invoice', totalNet: { value: 40.5, currency: 'EUR' } }
    expect(await finds(invoice, 'Invoice?totalnet=gt40|urn:iso:std:iso:4217|EUR')).toBe(true)
    expect(await finds(invoice, 'Invoice?totalnet=gt40|urn:iso:std:iso:4217|USD')).toBe(false)
  })

  test('sampled data reach from the smallest sample to the largest', async () => {
    const curve: JsonObject = {
      resourceType: 'Observation',
      valueSampledData: { origin: { value: 0, ...mg }, factor: 2, data: '1 E 4 2', period: 10, dimensions: 1 },
    }
    expect(await finds(curve, 'Observation?value-quantity=gt7')).toBe(true)
    expect(await finds(curve, 'Observation?value-quantity=gt8')).toBe(false)
    expect(await finds(curve, 'Observation?value-quantity=lt3')).toBe(true)
  })
})

describe('strings', () => {
  const named = (name: JsonObject): JsonObject => ({ resourceType: 'Patient', name: [name] })

  test.each([
    [{ given: ['Eve'] }, 'given=eve', true],
    [{ given: ['Evelyn'] }, 'given=eve', true],
    [{ given: ['Severine'] }, 'given=eve', false],
    [{ given: ['Severine'] }, 'given:contains=eve', true],
    [{ given: ['Eve'] }, 'given:exact=Eve', true],
    [{ given: ['eve'] }, 'given:exact=Eve', false],
    [{ given: ['EVE'] }, 'given:exact=Eve', false],
    [{ given: ['Evelyn'] }, 'given:exact=Eve', false],
    [{ family: 'Müller' }, 'family=muller', true],
    [{ family: 'Muller' }, 'family=M%C3%BCL', true],
    [{ family: 'Łódź-Sørensen' }, 'family=lodz%20sorensen', true],
    [{ family: 'Strauß' }, 'family=strauss', true],
    [{ family: "O'Brien-Smith" }, 'family=o%20brien', true],
    [{ family: 'Carreno Quinones' }, 'family=carreno,quinones', true],
    [{ text: 'Dr. Ada' }, 'name=dr%20ada', true],
    [{ suffix: ['Jr'] }, 'name=jr', true],
    [{ family: 'a,b' }, 'family:exact=a%5C,b', true],
    [{ family: 'a$b|c\\d' }, 'family:exact=a%5C$b%5C%7Cc%5C%5Cd', true],
    [{ family: '李小龙' }, 'family=%E6%9D%8E', true],
    [{ family: 'ΟΔΥΣΣΕΥΣ' }, 'family=%CE%BF%CE%B4%CF%85%CF%83%CF%83%CE%B5%CF%8D%CF%82', true],
  ])('%j by %s', async (name, query, expected) => expect(await finds(named(name), `Patient?${query}`)).toBe(expected))

  test.each([
    ['city=Springfield', 'address-city', true],
    ['12 main street', 'address', true],
    ['spring', 'address', true],
  ])('every part of an address: %s', async (text, param) =>
    expect(
      await finds(
        { resourceType: 'Patient', address: [{ line: ['12 Main Street'], city: 'Springfield' }] },
        `Patient?${param}=${encode(text.replace('city=', ''))}`,
      ),
    ).toBe(true),
  )

  test.each([
    ['Robert', 'Rupert', true],
    ['Ashcraft', 'Ashcroft', true],
    ['Tymczak', 'Pfister', false],
  ])('%s sounds like %s: %s', async (recorded, asked, expected) =>
    expect(await finds(named({ family: recorded }), `Patient?phonetic=${asked}`)).toBe(expected),
  )
})

describe('tokens', () => {
  const gender: JsonObject = { resourceType: 'Patient', gender: 'male' }
  const identified: JsonObject = {
    resourceType: 'Patient',
    identifier: [
      {
        system: 'http://acme.org/patient',
        value: '2345',
        type: {
          text: 'Medical record',
          coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }],
        },
      },
    ],
    active: true,
  }
  const condition = (coding: JsonObject, text?: string): JsonObject => ({
    resourceType: 'Condition',
    code: { coding: [coding], ...(text && { text }) },
  })
  const ha = condition(
    { system: 'http://acme.org/conditions/codes', code: 'ha125', display: 'Acute headache' },
    'Headache',
  )

  test.each([
    [identified, 'Patient?identifier=http://acme.org/patient|2345', true],
    [identified, 'Patient?identifier=http://acme.org/patient|23', false],
    [identified, 'Patient?identifier=2345', true],
    [identified, 'Patient?identifier=http://acme.org/patient|', true],
    [identified, 'Patient?identifier=|2345', false],
    [identified, 'Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|2345', true],
    [identified, 'Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053', false],
    [identified, 'Patient?identifier:text=medical', true],
    [identified, 'Patient?active=true', true],
    [identified, 'Patient?active=false', false],
    [gender, 'Patient?gender=male', true],
    [gender, 'Patient?gender=http://hl7.org/fhir/administrative-gender|male', true],
    [gender, 'Patient?gender=MALE', false],
    [gender, 'Patient?gender:not=male', false],
    [identified, 'Patient?gender:not=male', true],
    [gender, 'Patient?gender:not=male,female', false],
    [gender, 'Patient?gender:missing=false', true],
    [identified, 'Patient?gender:missing=true', true],
    [ha, 'Condition?code=http://acme.org/conditions/codes|ha125', true],
    [ha, 'Condition?code=ha125', true],
    [ha, 'Condition?code=HA125', false],
    [ha, 'Condition?code:text=headache', true],
    [ha, 'Condition?code:text=acute', true],
    [condition({ code: 'x' }), 'Condition?code=|x', true],
    [condition({ system: 'http://s', code: 'x' }), 'Condition?code=|x', false],
    [condition({ system: 'http://animals', code: 'dog' }), 'Condition?code:in=http://animals/vs', true],
    [condition({ system: 'http://animals', code: 'cow' }), 'Condition?code:in=http://animals/vs', false],
    [condition({ system: 'http://animals', code: 'cow' }), 'Condition?code:not-in=http://animals/vs', true],
    [condition({ system: 'http://animals', code: 'dog' }), 'Condition?code:below=http://animals|mammal', true],
    [condition({ system: 'http://animals', code: 'mammal' }), 'Condition?code:below=http://animals|dog', false],
    [condition({ system: 'http://animals', code: 'mammal' }), 'Condition?code:above=http://animals|dog', true],
    [{ resourceType: 'Condition', code: { text: 'only text' } } as JsonObject, 'Condition?code:missing=true', false],
    [{ resourceType: 'Patient', deceasedDateTime: '2015' } as JsonObject, 'Patient?deceased=true', true],
    [{ resourceType: 'Patient', deceasedBoolean: false } as JsonObject, 'Patient?deceased=true', false],
    [gender, 'Patient?deceased=false', true],
    [
      { resourceType: 'Patient', telecom: [{ system: 'email', value: 'a@b.c' }] } as JsonObject,
      'Patient?email=a@b.c',
      true,
    ],
    [
      { resourceType: 'Patient', telecom: [{ system: 'email', value: 'a@b.c' }] } as JsonObject,
      'Patient?phone=a@b.c',
      false,
    ],
    [
      {
        resourceType: 'Patient',
        meta: { tag: [{ system: 'http://acme.org/codes', code: 'needs-review' }] },
      } as JsonObject,
      'Patient?_tag=http://acme.org/codes|needs-review',
      true,
    ],
    [{ resourceType: 'Patient', meta: { security: [{ code: 'R' }] } } as JsonObject, 'Patient?_security:not=R', false],
  ])('%j by %s', async (resource, url, expected) => expect(await finds(resource, url)).toBe(expected))
})

describe('references', () => {
  const of = (reference: JsonObject): JsonObject => ({ resourceType: 'Observation', subject: reference })

  test.each([
    [of({ reference: 'Patient/23' }), 'subject=Patient/23', true],
    [of({ reference: 'Patient/23' }), 'subject=23', true],
    [of({ reference: 'Patient/23' }), 'subject:Patient=23', true],
    [of({ reference: 'Patient/23' }), 'subject:Group=23', false],
    [of({ reference: 'Patient/23' }), 'patient=23', true],
    [of({ reference: 'Group/23' }), 'patient=23', false],
    [of({ reference: 'Patient/23' }), 'subject=http://localhost/fhir/Patient/23', true],
    [of({ reference: 'http://localhost/fhir/Patient/23' }), 'subject=Patient/23', true],
    [of({ reference: 'http://acme.org/fhir/Patient/23' }), 'subject=Patient/23', false],
    [of({ reference: 'http://acme.org/fhir/Patient/23' }), 'subject=http://acme.org/fhir/Patient/23', true],
    [of({ reference: 'Patient/23/_history/3' }), 'subject=Patient/23', true],
    [of({ reference: 'Patient/23/_history/3' }), 'subject=Patient/23/_history/3', true],
    [of({ reference: 'Patient/23/_history/3' }), 'subject=Patient/23/_history/4', false],
    [
      of({ reference: 'urn:uuid:a5afddf4-e880-459b-876e-e4591b0acc11' }),
      'subject=urn:uuid:a5afddf4-e880-459b-876e-e4591b0acc11',
      true,
    ],
    [of({ reference: '#p' }), 'subject=p', false],
    [of({ reference: '#p' }), 'subject:missing=true', false],
    [
      of({ identifier: { system: 'http://acme.org/mrn', value: '7' } }),
      'subject:identifier=http://acme.org/mrn|7',
      true,
    ],
    [of({ identifier: { system: 'http://acme.org/mrn', value: '7' } }), 'subject:missing=true', false],
    [of({ display: 'somebody' }), 'subject:missing=true', true],
  ])('%j by %s', async (resource, query, expected) =>
    expect(await finds(resource, `Observation?${query}`)).toBe(expected),
  )

  test.each([
    ['http://acme.org/q|1.0', 'http://acme.org/q', true],
    ['http://acme.org/q|1.0', 'http://acme.org/q|1.0', true],
    ['http://acme.org/q|1.0', 'http://acme.org/q|2.0', false],
    ['http://acme.org/q', 'http://acme.org/q|1.0', false],
  ])('the canonical %s by %s', async (questionnaire, asked, expected) =>
    expect(
      await finds(
        { resourceType: 'QuestionnaireResponse', questionnaire },
        `QuestionnaireResponse?questionnaire=${encode(asked)}`,
      ),
    ).toBe(expected),
  )
})

describe('uris', () => {
  const set = (url: string): JsonObject => ({ resourceType: 'ValueSet', url })
  test.each([
    ['http://acme.org/fhir/ValueSet/123', 'url=http://acme.org/fhir/ValueSet/123', true],
    ['http://acme.org/fhir/ValueSet/123', 'url=http://acme.org/fhir/valueset/123', false],
    ['http://acme.org/fhir/ValueSet/123', 'url:below=http://acme.org/fhir/', true],
    ['http://acme.org/fhir', 'url:below=http://acme.org/fhir/', true],
    ['http://acme.org/fhirx', 'url:below=http://acme.org/fhir', false],
    ['http://acme.org/fhir/ValueSet/123', 'url:above=http://acme.org/fhir/ValueSet/123/_history/5', true],
    ['http://acme.org/fhir', 'url:above=http://acme.org/fhirx', false],
    ['urn:oid:1.2.3.4.5', 'url=urn:oid:1.2.3.4.5', true],
  ])('%s by %s', async (url, query, expected) => expect(await finds(set(url), `ValueSet?${query}`)).toBe(expected))

  test('a profile is found with and without its version', async () => {
    const patient: JsonObject = { resourceType: 'Patient', meta: { profile: ['http://acme.org/p|2'] } }
    expect(await finds(patient, 'Patient?_profile=http://acme.org/p')).toBe(true)
    expect(await finds(patient, 'Patient?_profile=http://acme.org/p|2')).toBe(true)
    expect(await finds(patient, 'Patient?_profile=http://acme.org/p|3')).toBe(false)
  })
})

describe('composites', () => {
  const loinc = 'http://loinc.org'
  const pressure: JsonObject = {
    resourceType: 'Observation',
    component: [
      {
        code: { coding: [{ system: loinc, code: '8480-6' }] },
        valueQuantity: { value: 107, system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
      },
      {
        code: { coding: [{ system: loinc, code: '8462-4' }] },
        valueQuantity: { value: 60, system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
      },
    ],
  }
  test.each([
    [`${loinc}|8480-6$gt100`, true],
    [`${loinc}|8480-6$lt100`, false],
    [`${loinc}|8462-4$gt100`, false],
    [`${loinc}|8462-4$lt100|http://unitsofmeasure.org|mm[Hg]`, true],
    [`${loinc}|8462-4$gt100,${loinc}|8480-6$gt100`, true],
  ])('both components in one element: %s', async (asked, expected) =>
    expect(await finds(pressure, `Observation?component-code-value-quantity=${encode(asked)}`)).toBe(expected),
  )

  test('a characteristic with its value', async () => {
    const group: JsonObject = {
      resourceType: 'Group',
      characteristic: [
        { code: { text: 'g', coding: [{ code: 'gender' }] }, valueCodeableConcept: { coding: [{ code: 'mixed' }] } },
        {
          code: { text: 'o', coding: [{ code: 'owner' }] },
          valueCodeableConcept: { coding: [{ code: 'john-smith' }] },
        },
      ],
    }
    expect(await finds(group, 'Group?characteristic-value=gender$mixed')).toBe(true)
    expect(await finds(group, 'Group?characteristic-value=gender$john-smith')).toBe(false)
  })

  test('a component may look back at the whole resource', async () => {
    const sequence: JsonObject = {
      resourceType: 'MolecularSequence',
      referenceSeq: { chromosome: { coding: [{ code: '1' }] } },
      variant: [{ start: 22125503, end: 22125504 }],
    }
    const url = 'MolecularSequence?chromosome-variant-coordinate='
    expect(await finds(sequence, `${url}1$lt345$gt22125503`)).toBe(false)
    expect(await finds(sequence, `${url}1$22125503$22125504`)).toBe(true)
    expect(await finds(sequence, `${url}2$22125503$22125504`)).toBe(false)
  })
})

describe('chains and _has', () => {
  const resources: JsonObject[] = [
    {
      resourceType: 'Patient',
      id: 'peter',
      name: [{ given: ['Peter'] }],
      generalPractitioner: [{ reference: 'Practitioner/joe' }],
    },
    { resourceType: 'Patient', id: 'anna', name: [{ given: ['Anna'] }] },
    { resourceType: 'Practitioner', id: 'joe', name: [{ family: 'Joe' }] },
    {
      resourceType: 'DiagnosticReport',
      id: 'r1',
      subject: { reference: 'Patient/peter' },
      result: [{ reference: 'Observation/o1' }],
    },
    { resourceType: 'DiagnosticReport', id: 'r2', subject: { reference: 'Patient/anna' } },
    { resourceType: 'DiagnosticReport', id: 'r3', subject: { reference: 'Patient/gone' } },
    {
      resourceType: 'Observation',
      id: 'o1',
      code: { coding: [{ code: '1234-5' }] },
      subject: { reference: 'Patient/peter' },
    },
    {
      resourceType: 'Observation',
      id: 'o2',
      code: { coding: [{ code: '9' }] },
      subject: { reference: 'Patient/anna' },
    },
    { resourceType: 'List', id: 'l', entry: [{ item: { reference: 'Patient/anna' } }] },
    {
      resourceType: 'AuditEvent',
      id: 'a',
      entity: [{ what: { reference: 'Observation/o1' } }],
      agent: [{ who: { reference: 'Practitioner/joe' } }],
    },
  ]
  test.each([
    ['DiagnosticReport?subject.name=peter', ['r1']],
    ['DiagnosticReport?subject:Patient.name=peter', ['r1']],
    ['DiagnosticReport?patient.name=peter,anna', ['r1', 'r2']],
    ['DiagnosticReport?subject:Patient.general-practitioner.name=joe', ['r1']],
    ['DiagnosticReport?subject:Patient.general-practitioner:Practitioner.name=joe', ['r1']],
    ['DiagnosticReport?subject:Patient.name:missing=false', ['r1', 'r2']],
    ['DiagnosticReport?subject:Patient._id=peter', ['r1']],
    ['Patient?_has:Observation:patient:code=1234-5', ['peter']],
    ['Patient?_has:Observation:patient:code=1234-5,9', ['peter', 'anna']],
    ['Patient?_has:Observation:patient:code=1234-5&_has:Observation:patient:code=9', []],
    ['Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=Practitioner/joe', ['peter']],
    ['DiagnosticReport?patient._has:Observation:patient:code=9', ['r2']],
    ['Patient?_has:DiagnosticReport:patient:result.code=1234-5', ['peter']],
    ['Patient?_list=l', ['anna']],
    ['Patient/peter/Observation?', ['o1']],
    ['Patient/peter/Observation?code=9', []],
    ['Patient/peter/*?', ['peter', 'r1', 'o1']],
    ['?_type=Observation,DiagnosticReport&subject=Patient/anna', ['r2', 'o2']],
    ['?_id=peter,o1', ['peter', 'o1']],
    ['Patient?_sort=given', ['anna', 'peter']],
    ['Patient?_sort=-given', ['peter', 'anna']],
    ['Patient?_sort=general-practitioner', ['peter', 'anna']],
    ['Patient?_sort=-general-practitioner', ['peter', 'anna']],
    ['Patient?_sort=-_id', ['peter', 'anna']],
  ])('%s', async (url, ids) => expect(await found(resources, url)).toEqual(ids))
})

describe('places and words', () => {
  test.each([
    ['42.256500|-83.694710|11.20|km', true],
    ['42.256500|-83.694710', true],
    ['42.4|-83.694710|10|km', false],
    ['42.4|-83.694710|16|km', true],
    ['42.4|-83.694710|10|[mi_i]', true],
  ])('near %s', async (asked, expected) => {
    const location: JsonObject = { resourceType: 'Location', position: { latitude: 42.2565, longitude: -83.69471 } }
    expect(await finds(location, `Location?near=${encode(asked)}`)).toBe(expected)
  })

  test.each([
    ['_text=headache', true],
    ['_text=Kopfschmerz', false],
    ['_content=Kopfschmerz', true],
    ['_content=(bone OR liver) and metastases', false],
    ['_content=(bone OR headache) and Kopf*', true],
    ['_content="severe headache" kopfschmerz', true],
    ['_text=severe,nothing', true],
    ['_text=div', false],
  ])('%s', async (query, expected) => {
    const condition: JsonObject = {
      resourceType: 'Condition',
      text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">Severe&nbsp;<b>headache</b></div>' },
      code: { text: 'Kopfschmerz' },
    }
    expect(await finds(condition, `Condition?${query.replaceAll(' ', '+')}`)).toBe(expected)
  })
})
