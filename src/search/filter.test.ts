import { describe, expect, test } from '@jest/globals'
import { FhirError, type JsonObject } from '../fhir/index.js'
import { ask, finds, found } from './testing.js'

const peter: JsonObject = {
  resourceType: 'Patient',
  id: 'peter',
  gender: 'male',
  birthDate: '2014-10-10',
  name: [{ given: ['Peter'], family: 'Chalmers' }],
}
const anna: JsonObject = { resourceType: 'Patient', id: 'anna', birthDate: '2010', name: [{ given: ['Anna'] }] }
const observation: JsonObject = {
  resourceType: 'Observation',
  id: 'o',
  code: { coding: [{ system: 'http://loinc.org', code: '1234-5' }] },
  subject: { reference: 'Patient/peter' },
  effectivePeriod: { start: '2010', end: '2012' },
  valueQuantity: { value: 150, system: 'http://unitsofmeasure.org', code: 'mmol/L' },
}
const dog: JsonObject = {
  resourceType: 'Observation',
  id: 'd',
  code: { coding: [{ system: 'http://animals', code: 'dog' }] },
  subject: { reference: 'Patient/anna' },
}

const filter = (text: string) => `_filter=${encodeURIComponent(text)}`

describe('patients', () => {
  test.each([
    ['name co "pet"', ['peter']],
    ['given eq "peter" and birthdate ge 2014-10-10', ['peter']],
    ['given eq "pet"', []],
    ['given ne "peter"', ['anna']],
    ['name sw Chal', ['peter']],
    ['name ew mers', ['peter']],
    ['gender eq male', ['peter']],
    ['gender ne male', ['anna']],
    ['gender pr true', ['peter']],
    ['gender pr false', ['anna']],
    ['not (gender pr true)', ['anna']],
    ['not(gender pr true or birthdate lt 2000)', ['anna']],
    ['id eq peter', ['peter']],
    ['_id ne peter', ['anna']],
    ['birthdate po 2014', ['peter']],
    ['birthdate sa 2013', ['peter']],
    ['birthdate eb 2014-10-10', ['anna']],
    ['_lastUpdated lt 2000', []],
    // "Evaluated left to right, with no precedence between and and or."
    ['given eq anna or given eq peter and gender eq male', ['peter']],
    ['given eq anna or (given eq peter and gender eq male)', ['peter', 'anna']],
    ['_has:Observation:patient:code eq 1234-5', ['peter']],
    ['name eq "say \\"hi\\""', []],
  ])('%s', async (text, ids) =>
    expect(await found([peter, anna, observation, dog], `Patient?${filter(text)}`)).toEqual(ids),
  )
})

describe('observations', () => {
  test.each([
    ['code eq http://loinc.org|1234-5', ['o']],
    ['subject.name co "pet"', ['o']],
    ['subject:Patient.name co "pet"', ['o']],
    ['subject[birthdate gt 2013].name co a', ['o']],
    ['subject.id eq peter and code-value-quantity eq 1234-5$ge150|http://unitsofmeasure.org|mmol/L', ['o']],
    ['subject re Patient/anna', ['d']],
    ['subject eq anna', ['d']],
    ['value-quantity gt 149', ['o']],
    ['value-quantity ap 160', ['o']],
    ['date po 2011', ['o']],
    ['date eq 2011', []],
    ['code in http://animals/vs', ['d']],
    ['code ni http://animals/vs', ['o']],
    ['code ss http://animals|mammal', ['d']],
    ['code sb http://animals|dog', ['d']],
  ])('%s', async (text, ids) =>
    expect(await found([peter, anna, observation, dog], `Observation?${filter(text)}`)).toEqual(ids),
  )
})

describe('refused', () => {
  test.each([
    'name',
    'name co',
    'name xx "pet"',
    'name co "pet',
    'name co ""',
    'name co "\\x"',
    'name co pet and',
    'and name co pet',
    '(name co pet',
    'name co pet)',
    'name co pet gender eq male',
    'not name co pet',
    'nmae co pet',
    'name gt 5',
    'gender co ma',
    'gender gt male',
    'birthdate co 2010',
    'birthdate eq x',
    'birthdate eq gt2010',
    'gender pr maybe',
    'gender ss male',
    'link[birthdate eq 2010] pr true',
    'name[x eq y].z eq 1',
    'gender.x eq 1',
    ' ',
    'name\tco',
    '"name" co x',
    `${'('.repeat(30)}name co a${')'.repeat(30)}`,
    Array(300).fill('name co a').join(' and '),
    'name co '.repeat(3000),
    `name co "${'\\\\'.repeat(6000)}"`,
  ])('%s', async (text) => {
    const error = await ask(`Patient?${filter(text)}`).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(FhirError)
    expect((error as FhirError).status).toBe(400)
  })
})

test('together with other parameters', async () =>
  expect(await finds(peter, `Patient?${filter('name co pet')}&gender=male`)).toBe(true))
