import { describe, expect, test } from '@jest/globals'
import { FhirError } from '../fhir/index.js'
import { searchParams } from '../search/index.js'
import { createTerminology } from '../terminology/index.js'
import { lettersOf, narrow, parseScope, parseScopes, type Scope, understood, within, writeScope } from './scope.js'

describe('a scope is read exactly', () => {
  test.each([
    ['patient/Observation.rs', 'patient', 'Observation', 'rs'],
    ['user/*.cruds', 'user', undefined, 'cruds'],
    ['system/Patient.r', 'system', 'Patient', 'r'],
    ['patient/Patient.read', 'patient', 'Patient', 'rs'],
    ['patient/*.write', 'patient', undefined, 'cud'],
    ['user/Encounter.*', 'user', 'Encounter', 'cruds'],
    ['http://smarthealthit.org/fhir/scopes/patient/Observation.rs', 'patient', 'Observation', 'rs'],
    ['http://smarthealthit.org/fhir/scopes/patient/%2A.cruds', 'patient', undefined, 'cruds'],
  ])('%s', (text, level, type, letters) => {
    const scope = parseScope(text)!
    expect([scope.level, scope.type, lettersOf(scope.acts)]).toEqual([level, type, letters])
  })

  test('a granular scope keeps its query', () => {
    const text = 'patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory'
    expect(parseScope(text)).toMatchObject({
      type: 'Observation',
      where: 'category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory',
    })
    expect(writeScope(parseScope(text)!)).toBe(text)
  })

  test.each([
    'patient/Observation.sr',
    'patient/Observation.dr',
    'patient/Observation.rr',
    'patient/Observation.rx',
    'patient/Observation.',
    'patient/Observation',
    'patient/Observation.reads',
    'patient/Observation.Read',
    'patient/Nonsense.rs',
    'patient/observation.rs',
    'patient/Resource.rs',
    'Patient/Observation.rs',
    'group/Observation.rs',
    ' patient/Observation.rs',
    'patient/Observation.rs?',
    'patient/Observation.read?category=laboratory',
    'patient/Observation.rs?category',
    'patient/Observation.rs?category=',
    'patient/Observation.rs?patient.name=x',
    'patient/Observation.rs?_has:Patient:x:y=z',
    'patient/Observation.rs?category=laboratory&_count=3',
    'patient/Observation.rs?_filter=code%20eq%20x',
    'patient/Observation.rs?category="x"',
    'patient/*.rs.rs',
    'launch/patient',
    'openid',
    'constructor',
    'patient/constructor.rs',
    'patient/Observation.constructor',
    `patient/Observation.rs?category=${'x'.repeat(3000)}`,
  ])('%s is none', (text) => expect(parseScope(text)).toBeUndefined())

  test('others among them are passed over', () =>
    expect(parseScopes('openid fhirUser launch patient/Observation.rs  user/Patient.sr').map(writeScope)).toEqual([
      'patient/Observation.rs',
    ]))
})

test.each([
  'patient/Observation.read',
  'patient/*.write',
  'user/*.*',
  'system/Patient.cruds',
  'patient/Observation.rs?category=laboratory',
])('%s is written back as it was asked', (text) => expect(writeScope(parseScope(text)!)).toBe(text))

describe('narrowing', () => {
  test.each([
    ['user/*.cruds', 'user/Observation.rs', 'user/Observation.rs'],
    ['user/Observation.rs', 'user/*.cruds', 'user/Observation.rs'],
    ['user/*.rs', 'user/*.read', 'user/*.read'],
    ['user/*.rs', 'user/*.*', 'user/*.read'],
    ['user/*.r', 'user/*.read', 'user/*.r'],
    ['user/*.rs', 'user/*.write', ''],
    ['user/*.cruds', 'patient/*.cruds', ''],
    ['user/Observation.rs user/Patient.r', 'user/*.rs', 'user/Observation.rs user/Patient.r'],
    ['user/Observation.rs?category=laboratory', 'user/Observation.rs', 'user/Observation.rs?category=laboratory'],
    ['user/Observation.rs', 'user/Observation.rs?category=laboratory', 'user/Observation.rs?category=laboratory'],
    [
      'user/Observation.rs?category=laboratory',
      'user/Observation.rs?status=final',
      'user/Observation.rs?status=final&category=laboratory',
    ],
    [
      'user/Observation.rs?category=laboratory',
      'user/Observation.rs?category=laboratory',
      'user/Observation.rs?category=laboratory',
    ],
    ['user/*.cruds user/Observation.rs', 'user/Observation.rs', 'user/Observation.rs'],
    ['user/Observation.r user/Observation.s', 'user/Observation.rs', 'user/Observation.r user/Observation.s'],
    ['', 'user/*.cruds', ''],
  ])('%s to %s is %s', (granted, wish, both) =>
    expect(narrow(parseScopes(granted), parseScopes(wish)).map(writeScope).join(' ')).toBe(both),
  )

  const some = [
    'user/*.cruds',
    'user/Observation.rs',
    'user/Observation.cud',
    'user/Patient.read',
    'user/Observation.rs?category=laboratory',
    'user/Observation.r?category=laboratory&status=final',
    'patient/*.rs',
    'patient/Observation.r',
  ].map((text) => parseScope(text)!)

  test('what is narrowed lies within both', () => {
    for (const granted of subsets(some))
      for (const wish of subsets(some)) {
        const both = narrow(granted, wish)
        expect(within(both, granted)).toBe(true)
        expect(within(both, wish)).toBe(true)
        if (within(wish, granted)) expect(within(wish, both)).toBe(true)
      }
  })
})

function* subsets(of: readonly Scope[]): Generator<Scope[]> {
  for (let i = 0; i < of.length; i++) for (let j = i; j < of.length; j++) yield [...new Set([of[i]!, of[j]!])]
}

describe('lying within', () => {
  test.each([
    ['user/Observation.rs', 'user/*.cruds', true],
    ['user/*.rs', 'user/Observation.rs', false],
    ['user/Observation.rs', 'user/Observation.r user/Observation.s', true],
    ['user/Observation.rs', 'patient/*.cruds', false],
    ['user/Observation.rs?category=a&status=final', 'user/Observation.rs?status=final', true],
    ['user/Observation.rs?status=final', 'user/Observation.rs?category=a&status=final', false],
    ['user/Observation.rs', 'user/Observation.rs?category=a', false],
    ['user/Observation.rs?category=a', 'user/Observation.rs?category=a', true],
    ['user/Observation.rs?category=a', 'user/Observation.rs?category%3Da', false],
    ['', '', true],
  ])('%s in %s: %s', (scopes, others, expected) =>
    expect(within(parseScopes(scopes), parseScopes(others))).toBe(expected),
  )
})

describe('the query of a granular scope', () => {
  const context = {
    searchParams: searchParams(),
    terminology: createTerminology(async () => undefined),
    baseUrls: [],
    zone: 'UTC',
    handling: 'lenient' as const,
    pageSize: 20,
    pageSizeMax: 100,
  }

  test('is a search like any other', async () =>
    expect((await understood(parseScope('user/Observation.rs?category=laboratory')!, context)).criteria).toEqual({
      op: 'token',
      param: 'category',
      code: 'laboratory',
    }))

  test.each(['user/Observation.rs?nonsense=1', 'user/Observation.rs?date=nonsense', 'user/*.rs?category=laboratory'])(
    '%s is refused, also where handling is lenient',
    async (text) => expect(understood(parseScope(text)!, context)).rejects.toThrow(FhirError),
  )
})
