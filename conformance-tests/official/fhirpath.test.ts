/**
 * The official FHIRPath vectors, through our wrapper of the engine.
 *
 * https://hl7.org/fhirpath/tests.html
 *
 * What the engine does otherwise than the vectors say stands in fhirpath-deviations.json with the reason; a vector
 * that begins to pass, or stops, fails this test.
 */
import { readFileSync } from 'node:fs'
import { expect } from '@jest/globals'
import { SaxesParser } from 'saxes'
import { compileFhirPath, FhirError, type Resource } from '../../src/fhir/index.js'
import { fhirPathInputs } from './fhirpath-inputs.js'
import { vectorFile, vectorTest } from './vectors.js'

type Output = { type: string | undefined; value: string }
type Vector = {
  name: string
  input: Resource
  expression: string
  isInvalid: boolean
  isPredicate: boolean
  outputs: Output[]
}

const deviations = JSON.parse(readFileSync(new URL('fhirpath-deviations.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>

function vectorsIn(xml: string): Vector[] {
  const parser = new SaxesParser()
  const vectors: Vector[] = []
  let text = ''
  parser.on('opentag', ({ name, attributes }) => {
    const current = vectors.at(-1)
    text = ''
    if (name === 'test')
      vectors.push({
        name: attributes['name'] ?? `unnamed ${vectors.length}`,
        input: fhirPathInputs[attributes['inputfile'] ?? ''] ?? { resourceType: 'Basic' },
        expression: '',
        isInvalid: false,
        isPredicate: attributes['predicate'] === 'true',
        outputs: [],
      })
    if (name === 'expression') current!.isInvalid = attributes['invalid'] !== undefined
    if (name === 'output') current!.outputs.push({ type: attributes['type'], value: '' })
  })
  parser.on('text', (more) => {
    text += more
  })
  parser.on('closetag', ({ name }) => {
    if (name === 'expression') vectors.at(-1)!.expression = text
    if (name === 'output') vectors.at(-1)!.outputs.at(-1)!.value = text
  })
  parser.write(xml.replace(/^\ufeff/, '')).close()
  return vectors
}

function passes({ input, expression, isInvalid, isPredicate, outputs }: Vector): boolean {
  let results: unknown[]
  try {
    results = compileFhirPath(expression, { timeoutMs: 5000 })(input)
  } catch (error) {
    if (error instanceof FhirError) return isInvalid
    throw error
  }
  if (isInvalid) return false
  if (isPredicate) return String(results.length > 0) === outputs[0]!.value
  return results.length === outputs.length && outputs.every((output, i) => isSame(output, results[i]))
}

/** The vectors write a date as a literal, `@2015`; the engine answers it as FHIR does. A number equals by its value. */
function isSame({ type, value }: Output, result: unknown): boolean {
  if (type === 'string') return result === value
  if (typeof result === 'number') return result === Number(value)
  return String(result) === value.trim().replace(/^@T?/, '')
}

vectorTest('the official FHIRPath vectors but the known deviations of the engine (needs ../shared)', () => {
  const vectors = vectorsIn(vectorFile('tests-fhir-r4.xml'))
  expect(vectors).toHaveLength(935)
  const failed = vectors.filter((vector) => !passes(vector)).map(({ name }) => name)
  expect(failed.sort()).toEqual(Object.keys(deviations).sort())
})
