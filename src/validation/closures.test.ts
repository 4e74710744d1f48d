/** Our functions answer what the engine answers, or leave it to the engine. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { compileFhirPath, isObject, type Json, type JsonObject, parseJson, typeDefinition } from '../fhir/index.js'
import { closureOf, unsure } from './closures.js'
import { shapeOf } from './shape.js'

function both(
  expression: string,
  base: string,
  element: Json,
  scope: { resource: JsonObject; rootResource: JsonObject },
) {
  let ours: unknown
  try {
    ours = closureOf(expression, base)?.(element, scope)
  } catch (error) {
    if (error !== unsure) throw error
    return undefined
  }
  const [theirs] = compileFhirPath(expression, { base })(element, scope)
  return { ours, theirs }
}

const patient = {
  resourceType: 'Patient',
  active: true,
  gender: 'male',
  name: [{ family: 'Okello', given: ['Ann', 'B'] }, { text: 'x' }],
  extension: [{ url: 'urn:a', valueString: 'x' }],
  contained: [{ resourceType: 'Organization', id: 'o' }],
}

test.each([
  'name.exists() and active',
  'name.empty() or gender.empty()',
  "gender = 'male' implies name.count() = 2",
  "gender in ('female' | 'other')",
  "('a' | 'b' | 'a').count() = 2",
  'name.where(family.exists()).given.count() > 1',
  'name.all(given.exists())',
  'name[0].given.first() = $this.name.given[0]',
  "name.select(given).exists($this.startsWith('A'))",
  "extension('urn:a').value.exists()",
  'extension.value.ofType(string).empty().not()',
  'extension.value is string',
  "%resource.gender.matches('^[a-z]+$')",
  "name.family.upper() = 'OKELLO' xor false",
  'birthDate.exists() = {}',
  'name.given.isDistinct()',
  'contained.all($this is Organization)',
  'Patient.name.tail().count() + 1 = 2',
  'deceased.exists().not()',
  "birthDate > '2000'",
])('%s', (expression) => {
  const found = both(expression, 'Patient', patient, { resource: patient, rootResource: patient })
  expect(found).toBeDefined()
  expect(closureOf(expression, 'Patient')).toBeDefined()
  expect(found!.ours).toEqual(found!.theirs)
})

test.each(['descendants().exists()', 'name.given & 1', 'resolve() is Patient', 'name.exists(', '1 ~ 2'])(
  '%s is left to the engine',
  (expression) => expect(closureOf(expression, 'Patient')).toBeUndefined(),
)

describe('every invariant of R4 on every element of our examples', () => {
  const folder = new URL('../../profiles/hiv/examples/', import.meta.url)
  const names = ['valid', 'invalid'].flatMap((kind) =>
    readdirSync(new URL(kind, folder)).map((name) => `${kind}/${name}`),
  )
  test('has the same answer', () => {
    let asked = 0
    const ask = (type: string, element: Json, scope: { resource: JsonObject; rootResource: JsonObject }) => {
      for (let name: string | undefined = type; name !== undefined; name = typeDefinition(name)?.base)
        for (const { expression, key } of typeDefinition(name)?.invariants ?? []) {
          if (key === 'ele-1' || key.startsWith('txt') || key === 'ref-1') continue
          const found = both(expression, type, element, scope)
          if (!found || found.ours === undefined) continue
          asked++
          expect([key, found.ours]).toEqual([key, found.theirs])
        }
      if (!isObject(element)) return
      for (const [name, value] of Object.entries(element)) {
        const row = shapeOf(type).rows.get(name)
        if (!row || row.sibling || row.content === 'primitive') continue
        for (const item of Array.isArray(value) ? value : [value])
          if (isObject(item)) {
            const inner = row.content === 'resource'
            ask(inner ? String(item['resourceType']) : row.type, item, inner ? { ...scope, resource: item } : scope)
          }
      }
    }
    for (const name of names) {
      const resource = parseJson(readFileSync(new URL(name, folder))) as JsonObject
      ask(String(resource['resourceType']), resource, { resource, rootResource: resource })
    }
    expect(asked).toBeGreaterThan(500)
  })
})
