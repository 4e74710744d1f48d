/**
 * The operations of the terminology service, as their definitions and examples say.
 *
 * https://hl7.org/fhir/R4/terminology-service.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { CodeSystem, Coding, ConceptMap, Parameters, ParametersParameter, ValueSet } from 'fhir/r4.js'
import { created, expectOutcome, get, post, resourceIn, unique, uniqueSystem } from '../server.js'

const system = uniqueSystem()
const vs = `${system}:vs`
let valueSet: ValueSet & { id: string }
let codeSystem: CodeSystem & { id: string }
let map: ConceptMap & { id: string }

const animals: CodeSystem = {
  resourceType: 'CodeSystem',
  url: system,
  version: '1',
  name: 'Animals',
  status: 'active',
  content: 'complete',
  hierarchyMeaning: 'is-a',
  property: [
    { code: 'legs', type: 'integer' },
    { code: 'inactive', type: 'boolean', uri: 'http://hl7.org/fhir/concept-properties#inactive' },
    { code: 'notSelectable', type: 'boolean', uri: 'http://hl7.org/fhir/concept-properties#notSelectable' },
  ],
  concept: [
    {
      code: 'mammal',
      display: 'Mammal',
      property: [{ code: 'notSelectable', valueBoolean: true }],
      concept: [
        {
          code: 'dog',
          display: 'Dog',
          definition: 'It barks.',
          designation: [{ language: 'fr', value: 'Chien' }],
          property: [{ code: 'legs', valueInteger: 4 }],
        },
        { code: 'cat', display: 'Domestic cat' },
      ],
    },
    { code: 'dodo', display: 'Dodo', property: [{ code: 'inactive', valueBoolean: true }] },
  ],
}

beforeAll(async () => {
  codeSystem = await created(animals)
  valueSet = await created<ValueSet>({
    resourceType: 'ValueSet',
    url: vs,
    version: '1',
    status: 'active',
    compose: { include: [{ system }] },
  })
  map = await created<ConceptMap>({
    resourceType: 'ConceptMap',
    url: `${system}:map`,
    status: 'active',
    group: [
      {
        source: system,
        target: 'http://other.example',
        element: [{ code: 'dog', target: [{ code: 'D', display: 'Hound', equivalence: 'wider' }] }],
        unmapped: { mode: 'fixed', code: 'X' },
      },
    ],
  })
})

const query = (parameters: Record<string, string>) => new URLSearchParams(parameters).toString()
const parametersOf = (...parameter: ParametersParameter[]): Parameters => ({ resourceType: 'Parameters', parameter })
const codesIn = ({ expansion }: ValueSet) => (expansion?.contains ?? []).map(({ code }) => code)
const outOf = (answer: Awaited<ReturnType<typeof get>>) => {
  expect([answer.status, answer.text]).toEqual([200, answer.text])
  return Object.fromEntries(
    (resourceIn<Parameters>(answer).parameter ?? []).map(({ name, valueBoolean, valueCode, valueString }) => [
      name,
      valueBoolean ?? valueCode ?? valueString,
    ]),
  )
}

describe('$expand', () => {
  const expanded = async (parameters: Record<string, string>) => {
    const answer = await get(`ValueSet/$expand?${query(parameters)}`)
    expect([answer.status, answer.text]).toEqual([200, answer.text])
    return resourceIn<ValueSet>(answer)
  }
  test.each<[string, Record<string, string>, string[]]>([
    ['all', {}, ['mammal', 'dog', 'cat', 'dodo']],
    ['those of a text', { filter: 'dom ca' }, ['cat']],
    ['those of a designation', { filter: 'chien' }, ['dog']],
    ['a page', { offset: '1', count: '2' }, ['dog', 'cat']],
    ['none, to learn how many there are', { count: '0' }, []],
    ['active ones', { activeOnly: 'true' }, ['mammal', 'dog', 'cat']],
    ['those for a user interface', { excludeNotForUI: 'true' }, ['dog', 'cat', 'dodo']],
  ])('gives %s', async (_, parameters, codes) =>
    expect(codesIn(await expanded({ url: vs, ...parameters }))).toEqual(codes),
  )

  test('says what it was made of', async () => {
    const { expansion } = await expanded({ url: vs, count: '1', offset: '1' })
    expect(expansion).toMatchObject({ total: 4, offset: 1, timestamp: expect.any(String) })
    expect(expansion?.parameter).toEqual(expect.arrayContaining([{ name: 'version', valueUri: `${system}|1` }]))
  })

  test('speaks the language that is asked for', async () => {
    const { expansion } = await expanded({ url: vs, displayLanguage: 'fr-CH', includeDesignations: 'true' })
    expect(expansion?.contains?.[1]).toMatchObject({
      display: 'Chien',
      designation: [{ language: 'fr', value: 'Chien' }],
    })
    expect(expansion?.contains?.[2]).toMatchObject({ display: 'Domestic cat' })
  })

  test('on an instance, and of a value set in the body', async () => {
    expect(codesIn(resourceIn(await get(`ValueSet/${valueSet.id}/$expand`)))).toHaveLength(4)
    const sent: ValueSet = {
      resourceType: 'ValueSet',
      status: 'draft',
      compose: {
        include: [{ valueSet: [vs] }],
        exclude: [{ system, filter: [{ property: 'concept', op: 'is-a', value: 'mammal' }] }],
      },
    }
    const named = parametersOf({ name: 'valueSet', resource: sent })
    for (const body of [sent, named])
      expect(codesIn(resourceIn(await post('ValueSet/$expand', body)))).toEqual(['dodo'])
  })

  test("knows HL7's value sets", async () =>
    expect(codesIn(await expanded({ url: 'http://hl7.org/fhir/ValueSet/administrative-gender' }))).toEqual([
      'male',
      'female',
      'other',
      'unknown',
    ]))

  test.each([
    ['of nothing', '', 400, 'invalid'],
    ['of what is not here', 'url=http://acme.example/none', 404, 'not-found'],
    ['of another version', `url=${vs}&valueSetVersion=2`, 404, 'not-found'],
    ['with a count that is none', `url=${vs}&count=x`, 400, undefined],
    ['with a negative offset', `url=${vs}&offset=-1`, 400, undefined],
    ['with an unknown parameter', `url=${vs}&fliter=x`, 400, undefined],
    ['of units, which cannot be listed', 'url=http://hl7.org/fhir/ValueSet/ucum-units', 400, 'too-costly'],
    ['of another version of its system', `url=${vs}&check-system-version=${system}|2`, 400, 'invalid'],
  ])('%s is refused', async (_, parameters, status, code) => {
    expectOutcome(await get(`ValueSet/$expand?${parameters}`), status, code)
  })

  test('of what is no value set is refused', async () => {
    for (const body of [codeSystem, { resourceType: 'ValueSet', status: 'active', compose: { include: 7 } }])
      expectOutcome(await post('ValueSet/$expand', body), [400, 422])
  })
})

describe('$lookup', () => {
  test('tells what is known of a code', async () => {
    const answer = await get(`CodeSystem/$lookup?${query({ system, code: 'dog', displayLanguage: 'fr' })}`)
    expect(outOf(answer)).toMatchObject({ name: 'Animals', version: '1', display: 'Chien' })
    const { parameter } = resourceIn<Parameters>(answer)
    const properties = parameter?.filter(({ name }) => name === 'property').map(({ part }) => part)
    expect(properties).toEqual(
      expect.arrayContaining([
        [
          { name: 'code', valueCode: 'legs' },
          { name: 'value', valueInteger: 4 },
        ],
        [
          { name: 'code', valueCode: 'parent' },
          { name: 'value', valueCode: 'mammal' },
          { name: 'description', valueString: 'Mammal' },
        ],
      ]),
    )
  })
  test('takes a coding by POST', async () => {
    const coding: Coding = { system: 'http://unitsofmeasure.org', code: 'mg/dL' }
    const answer = await post('CodeSystem/$lookup', parametersOf({ name: 'coding', valueCoding: coding }))
    expect(outOf(answer)).toMatchObject({ name: expect.stringContaining('UCUM') })
  })
  test.each([
    ['a code that is not there', query({ system, code: 'cow' }), 404],
    ['a system that is not there', query({ system: 'http://acme.example', code: 'cow' }), 404],
    ['no code', query({ system }), 400],
    ['no system', query({ code: 'dog' }), 400],
  ])('of %s is refused', async (_, parameters, status) => {
    expectOutcome(await get(`CodeSystem/$lookup?${parameters}`), status)
  })
})

describe('$validate-code', () => {
  test.each<[string, Record<string, string>, boolean, RegExp | undefined]>([
    ['a code', { code: 'dog' }, true, undefined],
    ['its display', { code: 'dog', display: 'dog' }, true, undefined],
    ['its display in another language', { code: 'dog', display: 'Chien' }, true, undefined],
    ['another display', { code: 'dog', display: 'Cat' }, false, /display/],
    ['an unknown code', { code: 'cow' }, false, /not in/],
    ['an abstract code where none is wanted', { code: 'mammal', abstract: 'false' }, false, /abstract/],
    ['an inactive code', { code: 'dodo' }, true, /inactive/],
  ])('of %s', async (_, parameters, result, message) => {
    const paths = [
      `ValueSet/$validate-code?${query({ url: vs, system, ...parameters })}`,
      `ValueSet/${valueSet.id}/$validate-code?${query({ system, ...parameters })}`,
      `CodeSystem/$validate-code?${query({ url: system, ...parameters })}`,
      `CodeSystem/${codeSystem.id}/$validate-code?${query(parameters)}`,
    ]
    for (const path of paths) {
      const out = outOf(await get(path))
      expect([path, out['result']]).toEqual([path, result])
      if (message) expect(out['message']).toMatch(message)
      else expect(out['message']).toBeUndefined()
    }
  })
  test('one right coding of a concept is enough', async () => {
    const valueCodeableConcept = {
      coding: [
        { system: 'http://acme.example', code: 'x' },
        { system, code: 'cat' },
      ],
    }
    const body = parametersOf({ name: 'url', valueUri: vs }, { name: 'codeableConcept', valueCodeableConcept })
    expect(outOf(await post('ValueSet/$validate-code', body))).toEqual({ result: true, display: 'Domestic cat' })
  })
  test('a code without a system is refused', async () => {
    expectOutcome(await get(`ValueSet/$validate-code?${query({ url: vs, code: 'dog' })}`), 400)
  })
})

describe('$subsumes', () => {
  test.each([
    ['mammal', 'dog', 'subsumes'],
    ['dog', 'mammal', 'subsumed-by'],
    ['dog', 'dog', 'equivalent'],
    ['dog', 'cat', 'not-subsumed'],
  ])('%s and %s: %s', async (codeA, codeB, outcome) => {
    for (const path of [
      `CodeSystem/$subsumes?${query({ system, codeA, codeB })}`,
      `CodeSystem/${codeSystem.id}/$subsumes?${query({ codeA, codeB })}`,
    ])
      expect(outOf(await get(path))).toEqual({ outcome })
  })
  test('unknown codes are refused', async () => {
    expectOutcome(await get(`CodeSystem/$subsumes?${query({ system, codeA: 'dog', codeB: 'cow' })}`), 404)
  })
})

describe('$translate', () => {
  const matchesIn = async (path: string) => {
    const answer = await get(path)
    expect([answer.status, answer.text]).toEqual([200, answer.text])
    return (resourceIn<Parameters>(answer).parameter ?? [])
      .filter(({ name }) => name === 'match')
      .map(({ part = [] }) => `${part[0]?.valueCode} ${part[1]?.valueCoding?.code}`)
  }
  test('forward, on an instance and without naming a map', async () => {
    for (const path of [
      `ConceptMap/${map.id}/$translate?${query({ system, code: 'dog' })}`,
      `ConceptMap/$translate?${query({ system, code: 'dog', url: `${system}:map` })}`,
      `ConceptMap/$translate?${query({ system, code: 'dog' })}`,
    ])
      expect(await matchesIn(path)).toEqual(['wider D'])
  })
  test('of what is unmapped', async () =>
    expect(await matchesIn(`ConceptMap/${map.id}/$translate?${query({ system, code: 'cat' })}`)).toEqual(['inexact X']))
  test('in reverse', async () => {
    const parameters = query({ system: 'http://other.example', code: 'D', reverse: 'true' })
    expect(await matchesIn(`ConceptMap/${map.id}/$translate?${parameters}`)).toEqual(['narrower dog'])
  })
  test("by HL7's own maps", async () =>
    expect(
      await matchesIn(
        `ConceptMap/$translate?${query({
          url: 'http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3',
          system: 'http://hl7.org/fhir/administrative-gender',
          code: 'male',
        })}`,
      ),
    ).toContain('equal M'))
})

test('$closure tells new relations, and those since a version', async () => {
  const name = unique()
  const call = async (...more: ParametersParameter[]) => {
    const answer = await post('$closure', parametersOf({ name: 'name', valueString: name }, ...more))
    expect([answer.status, answer.text]).toEqual([200, answer.text])
    const { version, group = [] } = resourceIn<ConceptMap>(answer)
    const pairs = group.flatMap(({ element }) => element.map(({ code, target }) => `${code} ${target?.[0]?.code}`))
    return { version, pairs }
  }
  const concept = (code: string) => ({ name: 'concept', valueCoding: { system, code } })
  expect(await call()).toEqual({ version: '0', pairs: [] })
  expect(await call(concept('dog'))).toEqual({ version: '1', pairs: [] })
  expect(await call(concept('mammal'))).toEqual({ version: '2', pairs: ['dog mammal'] })
  expect(await call(concept('cat'))).toEqual({ version: '3', pairs: ['cat mammal'] })
  expect(await call({ name: 'version', valueString: '1' })).toEqual({
    version: '3',
    pairs: ['dog mammal', 'cat mammal'],
  })
  expectOutcome(await post('$closure', parametersOf({ name: 'name', valueString: unique() }, concept('dog'))), 404)
})
