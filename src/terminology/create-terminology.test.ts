import { describe, expect, test } from '@jest/globals'
import { FhirError, type JsonObject, type Resource } from '../fhir/index.js'
import { createTerminology } from './create-terminology.js'

const ANIMALS = 'http://example.org/animals'

/** mammal > dog > poodle, mammal > cat, bird; `legs` is a property, `wolf` is below dog by its property parent. */
const animals: JsonObject = {
  resourceType: 'CodeSystem',
  id: 'animals',
  url: ANIMALS,
  status: 'active',
  content: 'complete',
  property: [{ code: 'legs', type: 'integer' }],
  concept: [
    {
      code: 'mammal',
      concept: [
        {
          code: 'dog',
          property: [{ code: 'legs', valueInteger: 4 }],
          concept: [{ code: 'poodle', display: 'Poodle' }],
        },
        { code: 'cat', property: [{ code: 'legs', valueInteger: 4 }] },
      ],
    },
    { code: 'bird', property: [{ code: 'legs', valueInteger: 2 }] },
    {
      code: 'wolf',
      property: [
        { code: 'subsumedBy', valueCode: 'dog' },
        { code: 'parent', valueCode: 'nowhere' },
      ],
    },
  ],
}

function given(...resources: JsonObject[]) {
  const stored = new Map<string, Resource>()
  let version = 0
  let loads = 0
  const put = (resource: JsonObject) => {
    const meta = { versionId: String(++version), lastUpdated: '2024-01-01T00:00:00Z' }
    const kept = { ...resource, meta } as unknown as Resource
    for (const key of [resource['url'], `${kept.resourceType}/${kept.id}`]) stored.set(String(key), kept)
  }
  for (const resource of resources) put(resource)
  const terminology = createTerminology(async (url) => {
    loads++
    return stored.get(url)
  })
  const codes = async (url: string, limit = 100) =>
    (await terminology.expand(url, limit))
      .map(({ system, code }) => (system === ANIMALS ? code : `${system}|${code}`))
      .sort()
  return { terminology, put, codes, loads: () => loads }
}

const valueSet = (id: string, compose: JsonObject, more: JsonObject = {}): JsonObject => ({
  resourceType: 'ValueSet',
  id,
  url: `http://example.org/vs/${id}`,
  status: 'active',
  compose,
  ...more,
})

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    if (!(error instanceof FhirError)) throw error
    return `${error.status} ${error.issues[0]!.code}`
  }
}

describe('a compose', () => {
  const all = ['bird', 'cat', 'dog', 'mammal', 'poodle', 'wolf']
  const filter = (property: string, op: string, value: string): JsonObject => ({
    include: [{ system: ANIMALS, filter: [{ property, op, value }] }],
  })
  test.each<[string, JsonObject, string[]]>([
    [
      'of listed concepts, known or not',
      { include: [{ system: ANIMALS, concept: [{ code: 'dog' }, { code: 'unicorn' }] }] },
      ['dog', 'unicorn'],
    ],
    ['of a whole system', { include: [{ system: ANIMALS }] }, all],
    [
      'of a system without some',
      { include: [{ system: ANIMALS }], exclude: [{ system: ANIMALS, concept: [{ code: 'cat' }] }] },
      all.filter((code) => code !== 'cat'),
    ],
    ['without a whole system', { include: [{ system: ANIMALS }], exclude: [{ system: ANIMALS }] }, []],
    [
      'without what a filter finds',
      {
        include: [{ system: ANIMALS }],
        exclude: [{ system: ANIMALS, filter: [{ property: 'concept', op: 'is-a', value: 'mammal' }] }],
      },
      ['bird'],
    ],
    ['is-a', filter('concept', 'is-a', 'dog'), ['dog', 'poodle', 'wolf']],
    ['descendent-of', filter('concept', 'descendent-of', 'dog'), ['poodle', 'wolf']],
    ['is-not-a', filter('concept', 'is-not-a', 'dog'), ['bird', 'cat', 'mammal']],
    ['generalizes', filter('concept', 'generalizes', 'poodle'), ['dog', 'mammal', 'poodle']],
    ['is-a of nothing', filter('concept', 'is-a', 'unicorn'), []],
    ['is-not-a of nothing', filter('concept', 'is-not-a', 'unicorn'), all],
    ['= of a property', filter('legs', '=', '4'), ['cat', 'dog']],
    ['= of the display', filter('display', '=', 'Poodle'), ['poodle']],
    ['= of the parent', filter('parent', '=', 'mammal'), ['cat', 'dog']],
    ['= of the code', filter('code', '=', 'dog'), ['dog']],
    ['in', filter('concept', 'in', 'dog, cat,unicorn'), ['cat', 'dog']],
    ['not-in', filter('concept', 'not-in', 'dog,cat'), ['bird', 'mammal', 'poodle', 'wolf']],
    ['regex, of the whole code', filter('code', 'regex', '(c|d)[a-o]+t?'), ['cat', 'dog']],
    ['regex that would keep others busy', filter('code', 'regex', '(([a-z])+.)+[A-Z](([a-z])+)+$'), []],
    ['exists', filter('legs', 'exists', 'true'), ['bird', 'cat', 'dog']],
    ['exists not', filter('legs', 'exists', 'false'), ['mammal', 'poodle', 'wolf']],
    [
      'several filters, all of which must hold',
      {
        include: [
          {
            system: ANIMALS,
            filter: [
              { property: 'concept', op: 'is-a', value: 'mammal' },
              { property: 'legs', op: '=', value: '4' },
            ],
          },
        ],
      },
      ['cat', 'dog'],
    ],
  ])('%s', async (_, compose, expected) => {
    const { codes } = given(animals, valueSet('a', compose))
    expect(await codes('http://example.org/vs/a')).toEqual(expected)
    expect(await codes('ValueSet/a')).toEqual(expected)
  })

  test.each<[string, JsonObject, string]>([
    ['with a regular expression that looks ahead', filter('concept', 'regex', '(?=a)b'), '400 not-supported'],
    ['with one that is too large', filter('concept', 'regex', '(a{99}){99}'), '400 not-supported'],
    ['with is-a on another property', filter('legs', 'is-a', '4'), '400 not-supported'],
    ['of a system that is not here', { include: [{ system: 'http://snomed.info/sct' }] }, '404 not-found'],
    ['that imports what is not here', { include: [{ valueSet: ['http://example.org/vs/none'] }] }, '404 not-found'],
  ])('%s is refused', async (_, compose, expected) => {
    const { codes } = given(animals, valueSet('a', compose))
    expect(await refusal(codes('http://example.org/vs/a'))).toBe(expected)
  })
})

describe('imports', () => {
  const dogs = valueSet('dogs', {
    include: [{ system: ANIMALS, filter: [{ property: 'concept', op: 'is-a', value: 'dog' }] }],
  })
  const pets = valueSet('pets', {
    include: [{ system: ANIMALS, concept: [{ code: 'dog' }, { code: 'cat' }, { code: 'poodle' }] }],
  })
  const url = (id: string) => `http://example.org/vs/${id}`

  test('of one include are intersected, with its system too', async () => {
    const { codes } = given(
      animals,
      dogs,
      pets,
      valueSet('both', { include: [{ valueSet: [url('dogs'), url('pets')] }] }),
      valueSet('three', {
        include: [{ system: ANIMALS, concept: [{ code: 'poodle' }], valueSet: [url('dogs'), url('pets')] }],
      }),
    )
    expect(await codes(url('both'))).toEqual(['dog', 'poodle'])
    expect(await codes(url('three'))).toEqual(['poodle'])
  })

  test('of several includes are joined', async () => {
    const { codes } = given(
      animals,
      dogs,
      pets,
      valueSet('any', { include: [{ valueSet: [url('dogs')] }, { valueSet: [url('pets')] }] }),
    )
    expect(await codes(url('any'))).toEqual(['cat', 'dog', 'poodle', 'wolf'])
  })

  test('can be excluded', async () => {
    const { codes } = given(
      animals,
      dogs,
      pets,
      valueSet('rest', { include: [{ valueSet: [url('pets')] }], exclude: [{ valueSet: [url('dogs')] }] }),
    )
    expect(await codes(url('rest'))).toEqual(['cat'])
  })

  test('in a circle end, and add what each has', async () => {
    const circle = (id: string, next: string, code: string) =>
      valueSet(id, { include: [{ system: ANIMALS, concept: [{ code }] }, { valueSet: [url(next)] }] })
    const { codes } = given(
      circle('a', 'b', 'dog'),
      circle('b', 'c', 'cat'),
      circle('c', 'a', 'bird'),
      valueSet('self', { include: [{ valueSet: [url('self')] }] }),
    )
    for (const id of ['a', 'b', 'c']) expect(await codes(url(id))).toEqual(['bird', 'cat', 'dog'])
    expect(await codes(url('self'))).toEqual([])
  })

  test('of the same value set by many ways are computed once', async () => {
    const layers = Array.from({ length: 30 }, (_, i) =>
      valueSet(`l${i}`, { include: [{ valueSet: [url(`l${i + 1}`)] }, { valueSet: [url(`l${i + 1}`)] }] }),
    )
    const { codes, loads } = given(
      ...layers,
      valueSet('l30', { include: [{ system: ANIMALS, concept: [{ code: 'dog' }] }] }),
    )
    expect(await codes(url('l0'))).toEqual(['dog'])
    expect(loads()).toBeLessThan(100)
  })

  test('of too many value sets are refused', async () => {
    const chain = Array.from({ length: 600 }, (_, i) =>
      valueSet(`l${i}`, { include: [{ valueSet: [url(`l${i + 1}`)] }] }),
    )
    const { codes } = given(...chain)
    expect(await refusal(codes(url('l0')))).toBe('400 too-costly')
  })
})

describe('an expansion', () => {
  const contains: JsonObject[] = [
    { system: ANIMALS, code: 'dog', contains: [{ system: ANIMALS, code: 'poodle' }] },
    { abstract: true, system: ANIMALS, code: 'mammal' },
    { display: 'group' },
  ]
  test('is used where it is complete', async () => {
    const { codes } = given(
      valueSet('a', { include: [{ system: 'urn:unknown' }] }, { expansion: { timestamp: '2020', contains } }),
    )
    expect(await codes('http://example.org/vs/a')).toEqual(['dog', 'poodle'])
  })
  test.each<[string, JsonObject]>([
    ['says that there is more', { total: 10 }],
    ['is a later page', { offset: 5 }],
  ])('is not used where it %s', async (_, more) => {
    const { codes } = given(
      animals,
      valueSet(
        'a',
        { include: [{ system: ANIMALS, concept: [{ code: 'bird' }] }] },
        { expansion: { timestamp: '2020', contains, ...more } },
      ),
    )
    expect(await codes('http://example.org/vs/a')).toEqual(['bird'])
  })
  test('is needed where there is no compose', async () => {
    const { compose: _, ...bare } = valueSet('a', {})
    expect(await refusal(given(bare).codes('http://example.org/vs/a'))).toBe('404 not-found')
  })
})

describe('without a stored value set', () => {
  test("R4's own required value sets are known", async () =>
    expect(await given().codes('http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1')).toContain(
      'http://hl7.org/fhir/administrative-gender|female',
    ))
  test('those that cannot be listed are too costly', async () =>
    expect(await refusal(given().codes('http://hl7.org/fhir/ValueSet/mimetypes'))).toBe('400 too-costly'))
  test('all codes of a stored system are its implicit value set', async () =>
    expect(await given(animals).codes(`${ANIMALS}?vs`)).toHaveLength(6))
  test.each(['http://example.org/none', 'ValueSet/none', 'constructor', '__proto__', '', '?vs', `${ANIMALS}?fhir_vs`])(
    '%s is not found',
    async (url) => expect(await refusal(given(animals).codes(url))).toBe('404 not-found'),
  )
  test('a code system is no value set', async () =>
    expect(await refusal(given(animals).codes(ANIMALS))).toBe('404 not-found'))
  test('a system that is here in part cannot be listed', async () =>
    expect(await refusal(given({ ...animals, content: 'fragment' }).codes(`${ANIMALS}?vs`))).toBe('404 not-found'))
})

test('more codes than the limit are too costly', async () => {
  const { codes } = given(animals)
  expect(await codes(`${ANIMALS}?vs`, 6)).toHaveLength(6)
  expect(await refusal(codes(`${ANIMALS}?vs`, 5))).toBe('400 too-costly')
})

test('filters that would look at too many codes are refused', async () => {
  const concept = Array.from({ length: 20_000 }, (_, i) => ({ code: `c${i}` }))
  const filter = Array.from({ length: 200 }, () => ({ property: 'concept', op: 'is-not-a', value: 'x' }))
  const { codes } = given({ ...animals, concept }, valueSet('a', { include: [{ system: ANIMALS, filter }] }))
  expect(await refusal(codes('http://example.org/vs/a', 100_000))).toBe('400 too-costly')
})

describe('related', () => {
  const related = async (code: string, direction: 'below' | 'above', system: JsonObject = animals, limit = 100) =>
    (await given(system).terminology.related({ system: ANIMALS, code }, direction, limit))
      .map((each) => each.code)
      .sort()

  test.each<[string, 'below' | 'above', string[]]>([
    ['mammal', 'below', ['cat', 'dog', 'mammal', 'poodle', 'wolf']],
    ['dog', 'below', ['dog', 'poodle', 'wolf']],
    ['wolf', 'above', ['dog', 'mammal', 'wolf']],
    ['bird', 'below', ['bird']],
    ['unicorn', 'below', ['unicorn']],
    ['nowhere', 'below', ['nowhere']],
  ])('%s %s', async (code, direction, expected) => expect(await related(code, direction)).toEqual(expected))

  test('a code of an unknown system or of none is related to itself only', async () => {
    const { terminology } = given(animals)
    for (const system of ['urn:unknown', ''])
      expect(await terminology.related({ system, code: 'dog' }, 'below', 10)).toEqual([{ system, code: 'dog' }])
  })

  test('nesting that means something else than is-a relates nothing', async () =>
    expect(await related('mammal', 'below', { ...animals, hierarchyMeaning: 'part-of' })).toEqual(['mammal']))

  test('a property that the system declares to be the parent', async () => {
    const system = {
      ...animals,
      property: [{ code: 'kind', uri: 'http://hl7.org/fhir/concept-properties#parent', type: 'code' }],
      concept: [{ code: 'a' }, { code: 'b', property: [{ code: 'kind', valueCode: 'a' }] }],
    }
    expect(await related('a', 'below', system)).toEqual(['a', 'b'])
  })

  test('a hierarchy in a circle ends', async () => {
    const concept = [
      { code: 'a', property: [{ code: 'parent', valueCode: 'b' }] },
      { code: 'b', property: [{ code: 'parent', valueCode: 'a' }] },
    ]
    expect(await related('a', 'above', { ...animals, concept })).toEqual(['a', 'b'])
  })

  test('more than the limit is too costly', async () =>
    expect(await refusal(related('mammal', 'below', animals, 4))).toBe('400 too-costly'))
})

describe('after an update', () => {
  const a = valueSet('a', { include: [{ valueSet: ['http://example.org/vs/b'] }] })
  const b = valueSet('b', { include: [{ system: ANIMALS }] })
  const smaller: JsonObject = { ...animals, concept: [{ code: 'bird' }] }

  test('of a code system nothing old is answered', async () => {
    const { codes, put, terminology } = given(animals, a, b)
    expect(await codes('http://example.org/vs/a')).toHaveLength(6)
    expect(await codes('http://example.org/vs/a')).toHaveLength(6)
    put(smaller)
    expect(await codes('http://example.org/vs/a')).toEqual(['bird'])
    expect(await terminology.related({ system: ANIMALS, code: 'mammal' }, 'below', 10)).toHaveLength(1)
  })

  test('of an imported value set nothing old is answered', async () => {
    const { codes, put } = given(animals, a, b)
    await codes('http://example.org/vs/a')
    put(valueSet('b', { include: [{ system: ANIMALS, concept: [{ code: 'dog' }] }] }))
    expect(await codes('http://example.org/vs/a')).toEqual(['dog'])
  })

  test("a stored value set stands before R4's own of the same name", async () => {
    const url = 'http://hl7.org/fhir/ValueSet/administrative-gender'
    const { codes, put } = given()
    expect(await codes(url)).toHaveLength(4)
    put({ ...valueSet('gender', { include: [{ system: ANIMALS, concept: [{ code: 'dog' }] }] }), url })
    expect(await codes(url)).toEqual(['dog'])
  })

  test('what has no version is computed anew', async () => {
    let concept = [{ code: 'a' }]
    const { related } = createTerminology(async () => ({ ...animals, concept }) as unknown as Resource)
    expect(await related({ system: ANIMALS, code: 'a' }, 'below', 10)).toHaveLength(1)
    concept = [{ code: 'a', concept: [{ code: 'b' }] } as { code: string }]
    expect(await related({ system: ANIMALS, code: 'a' }, 'below', 10)).toHaveLength(2)
  })
})
