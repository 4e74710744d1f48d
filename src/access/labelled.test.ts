import { describe, expect, test } from '@jest/globals'
import type { Json, JsonObject, Resource } from '../fhir/index.js'
import { anyone, type Caller } from './caller.js'
import { confidentialitySystem, labelBasisUrl, labelled, labelRulesSystem, sensitivitySystem } from './labelled.js'

const doctor: Caller = { ...anyone, kind: 'person', id: 'doctor', role: 'doctor' }
const hiv: JsonObject = { system: sensitivitySystem, code: 'HIV' }
const level = (code: string): JsonObject => ({ system: confidentialitySystem, code })
const viralLoad = { code: { coding: [{ system: 'http://loinc.org', code: '20447-9' }] } }

const observation = (content: JsonObject, security?: Json[]): Resource =>
  ({ resourceType: 'Observation', ...content, ...(security && { meta: { security } }) }) as Resource

/** `*` marks the server's own. */
const codesAfter = (given: Resource, before?: Resource, caller = doctor): string[] => {
  const { meta } = labelled(caller, given, before)
  const security = (meta as JsonObject | undefined)?.['security'] as JsonObject[] | undefined
  return (security ?? []).map(({ code, extension }) => `${String(code)}${extension ? '*' : ''}`)
}

describe('labels of a write', () => {
  test('what the content shows is labelled, with the rule as its basis', () => {
    const { meta } = labelled(doctor, observation(viralLoad), undefined)
    expect((meta as JsonObject)['security']).toEqual([
      {
        extension: [
          {
            url: labelBasisUrl,
            valueCoding: { system: labelRulesSystem, version: expect.any(String), code: 'loinc' },
          },
        ],
        system: sensitivitySystem,
        code: 'HIV',
      },
      { extension: expect.any(Array), system: confidentialitySystem, code: 'R' },
    ])
  })

  test('what shows nothing is the very resource given', () => {
    const given = observation({ status: 'final' })
    expect(labelled(doctor, given, undefined)).toBe(given)
  })

  test.each<[string, Resource, Resource | undefined, string[]]>([
    ['a client raises', observation(viralLoad, [level('V')]), undefined, ['HIV*', 'V']],
    ['a client says less', observation(viralLoad, [level('N')]), undefined, ['HIV*', 'R*']],
    ['a client says the same', observation(viralLoad, [hiv, level('R')]), undefined, ['HIV*', 'R']],
    ['a client labels what shows nothing', observation({}, [hiv]), undefined, ['HIV']],
    ['a client leaves the labels out', observation({}), observation({}, [hiv, level('R')]), ['HIV', 'R']],
    ['a client lowers', observation({}, [level('L')]), observation({}, [level('R')]), ['R']],
    ['a client takes off what is no sensitivity', observation({}), observation({}, [{ code: 'x' }]), []],
    [
      'meta is gone as a whole',
      { ...observation({}), meta: null as unknown as Json } as Resource,
      observation({}, [hiv]),
      ['HIV'],
    ],
  ])('%s', (_, given, before, expected) => expect(codesAfter(given, before)).toEqual(expected))

  test('a label of the server stays with its basis when the content no longer shows why', () => {
    const before = labelled(doctor, observation(viralLoad), undefined)
    expect(codesAfter(observation({}), before)).toEqual(['HIV*', 'R*'])
  })

  test('a client does not write the mark of the server', () => {
    const forged = {
      ...hiv,
      extension: [{ url: labelBasisUrl, valueCoding: { system: labelRulesSystem, code: 'loinc' } }],
    }
    expect(codesAfter(observation({}, [forged]))).toEqual([])
  })

  test('the labelled written again stays as it is', () => {
    const once = labelled(doctor, observation(viralLoad, [level('N'), { code: 'x' }]), undefined)
    expect(labelled(doctor, once, once)).toEqual(once)
  })

  test('records are loaded with the labels they say, and those they show', () => {
    expect(codesAfter(observation({}), observation({}, [hiv]), anyone)).toEqual([])
    expect(codesAfter(observation(viralLoad), observation({}, [level('V')]), anyone)).toEqual(['HIV*', 'R*'])
  })
})
