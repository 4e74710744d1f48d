/**
 * $lastn: the most recent Observations by code.
 *
 * https://hl7.org/fhir/R4/observation-operation-lastn.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Bundle, CodeableConcept, Observation, Parameters } from 'fhir/r4.js'
import { type World, world } from '../search/world.js'
import { bundle, expectOutcome, get, post, resourceIn } from '../server.js'

let w: World

const coded = (...codes: string[]): CodeableConcept => ({
  coding: codes.map((code) => ({ system: 'http://loinc.org', code })),
})

const laboratory = {
  coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }],
}

const taken = (patient: string, code: CodeableConcept, effectiveDateTime?: string): Observation => ({
  resourceType: 'Observation',
  status: 'final',
  category: [laboratory],
  code,
  subject: { reference: patient },
  ...(effectiveDateTime && { effectiveDateTime }),
})

beforeAll(async () => {
  w = await world({
    amina: { resourceType: 'Patient' },
    peter: { resourceType: 'Patient' },
    a1: ({ amina }) => taken(amina!, coded('a'), '2020-01-01'),
    a3: ({ amina }) => taken(amina!, coded('a'), '2022-01-01'),
    a2: ({ amina }) => taken(amina!, coded('a'), '2021-01-01'),
    a2too: ({ amina }) => taken(amina!, coded('a'), '2021-01-01'),
    b1: ({ amina }) => taken(amina!, coded('b'), '2019-01-01'),
    b2: ({ amina }) => taken(amina!, coded('b', 'c'), '2020-06-01'),
    c1: ({ amina }) => taken(amina!, coded('c'), '2018-01-01'),
    text1: ({ amina }) => taken(amina!, { text: 'Text' }, '2020-01-01'),
    text2: ({ amina }) => taken(amina!, { text: 'textM' }, '2020-01-02'),
    undated: ({ amina }) => taken(amina!, coded('a')),
    his: ({ peter }) => taken(peter!, coded('a'), '2023-01-01'),
  })
})

const lastn = async (query: string) =>
  w.names(await bundle(`Observation/$lastn?${query.replaceAll('AMINA', w.refs['amina']!)}`))

describe('$lastn', () => {
  test.each([
    // "If no maximum number is given then only the most recent Observation in each group is returned."
    ['patient=AMINA&category=laboratory', ['a3', 'b2', 'text2', 'text1']],
    ['subject=AMINA&category=laboratory', ['a3', 'b2', 'text2', 'text1']],
    // "In case of a tie, both will be returned."
    ['max=2&patient=AMINA&category=laboratory', ['a3', 'a2', 'a2too', 'b2', 'text2', 'text1', 'b1']],
    ['max=1&patient=AMINA&code=http://loinc.org%7Cc', ['b2']],
    ['max=9&patient=AMINA&code=a', ['a3', 'a2', 'a2too', 'a1', 'undated']],
    ['patient=AMINA&code=a&date=le2021', ['a2', 'a2too']],
    ['patient=AMINA&code=nothing', []],
  ])('%s answers %j', async (query, expected) => {
    expect((await lastn(query)).sort()).toEqual([...expected].sort())
  })

  test('the newest stand first', async () => {
    const order = await lastn('max=9&patient=AMINA&category=laboratory')
    expect(order[0]).toBe('a3')
    expect(order.at(-1)).toBe('undated')
    expect(order.indexOf('b2')).toBeLessThan(order.indexOf('c1'))
  })

  test('parameters may come in a Parameters resource', async () => {
    const parameters: Parameters = {
      resourceType: 'Parameters',
      parameter: [
        { name: 'patient', valueString: w.refs['amina']! },
        { name: 'code', valueString: 'a' },
        { name: 'max', valuePositiveInt: 1 },
      ],
    }
    expect(w.names(resourceIn<Bundle>(await post('Observation/$lastn', parameters)))).toEqual(['a3'])
  })

  test.each([
    'category=laboratory',
    'patient=AMINA',
    'patient=AMINA&code=a&max=0',
    'patient=AMINA&code=a&max=x',
    'patient=AMINA&code=a&_count=1',
    'patient=AMINA&code=a&nothing=1',
  ])('%s is 400', async (query) => {
    expectOutcome(await get(`Observation/$lastn?${query.replace('AMINA', w.refs['amina']!)}`), 400)
  })
})
