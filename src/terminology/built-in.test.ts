/** What comes with the server: https://hl7.org/fhir/R4/terminologies-systems.html */
import { expect, test } from '@jest/globals'
import { createTerminology } from './create-terminology.js'

const terminology = createTerminology(async () => undefined)
const reason = 'http://terminology.hl7.org/CodeSystem/v3-ActReason'

test("HL7's own code systems have their displays and hierarchy", async () => {
  const concepts = await terminology.concepts('http://hl7.org/fhir/administrative-gender')
  expect([...concepts!.byCode].map(([code, { display }]) => `${code} ${display}`)).toEqual([
    'male Male',
    'female Female',
    'other Other',
    'unknown Unknown',
  ])
  const below = await terminology.related({ system: reason, code: 'PurposeOfUse' }, 'below', 1000)
  expect(below.map(({ code }) => code)).toEqual(expect.arrayContaining(['TREAT', 'ETREAT', 'HRESCH']))
})

test('a version that is not here is unknown', async () => {
  expect(await terminology.concepts('http://hl7.org/fhir/administrative-gender', '4.0.1')).toBeDefined()
  expect(await terminology.concepts('http://hl7.org/fhir/administrative-gender', '9')).toBeUndefined()
})

test.each([
  ['http://unitsofmeasure.org', 'mg/dL', true],
  ['http://unitsofmeasure.org', '{copies}/mL', true],
  ['http://unitsofmeasure.org', 'no unit', false],
  ['urn:iso:std:iso:3166', 'KE', true],
  ['urn:iso:std:iso:3166', 'KEN', true],
  ['urn:iso:std:iso:3166', 'ZZ', false],
  ['urn:iso:std:iso:4217', 'KES', true],
  ['urn:iso:std:iso:4217', 'ABC', false],
  ['urn:ietf:bcp:47', 'sw-KE', true],
  ['urn:ietf:bcp:47', 'not a language', false],
  ['urn:ietf:bcp:13', 'application/fhir+json', true],
  ['urn:ietf:bcp:13', 'nothing', false],
])('the system %s knows %s: %s', async (system, code, result) => {
  const valueSet = { resourceType: 'ValueSet' as const, status: 'active' as const, compose: { include: [{ system }] } }
  expect(await terminology.memberOf(valueSet, { system, code })).toEqual({ result })
})

test.each([
  ['http://hl7.org/fhir/ValueSet/administrative-gender', 'http://hl7.org/fhir/administrative-gender', 'male', true],
  ['http://hl7.org/fhir/ValueSet/administrative-gender', 'http://hl7.org/fhir/administrative-gender', 'm', false],
  ['http://hl7.org/fhir/ValueSet/iso3166-1-3', 'urn:iso:std:iso:3166', 'KE', false],
  ['http://hl7.org/fhir/ValueSet/iso3166-1-3', 'urn:iso:std:iso:3166', 'KEN', true],
])('%s holds %s|%s: %s, by rule as by listing', async (url, system, code, result) => {
  expect(await terminology.holds(url, { system, code })).toEqual({ result })
  const listed = await terminology.expand(url, 1000)
  expect(listed.some((each) => each.system === system && each.code === code)).toBe(result)
})

test('of a system that is not here nobody can tell', async () =>
  expect(
    await terminology.holds('http://hl7.org/fhir/ValueSet/observation-codes', {
      system: 'http://loinc.org',
      code: '1-8',
    }),
  ).toEqual({ result: undefined, why: expect.stringContaining('http://loinc.org') }))
