/**
 * The official FHIRPath Patch vectors.
 *
 * https://hl7.org/fhir/R4/fhirpatch.html
 */
import { expect } from '@jest/globals'
import { SaxesParser } from 'saxes'
import { applyFhirPathPatch, FhirError, type Resource, readXml, writeXml } from '../../src/fhir/index.js'
import { vectorFile, vectorTest } from './vectors.js'

type Vector = { name: string; mode: string; input: string; diff: string; output: string }

/** The cases of the file; the resources in them stay text, to be read by our own reader. */
function vectorsIn(xml: string): Vector[] {
  const parser = new SaxesParser()
  const vectors: Vector[] = []
  let start = 0
  parser.on('opentag', ({ name, attributes }) => {
    if (name === 'case')
      vectors.push({ name: attributes['name']!, mode: attributes['mode']!, input: '', diff: '', output: '' })
    if (name === 'input' || name === 'diff' || name === 'output') start = parser.position
  })
  parser.on('closetag', ({ name }) => {
    if (name === 'input' || name === 'diff' || name === 'output')
      vectors.at(-1)![name] = xml.slice(start, xml.lastIndexOf('<', parser.position)).trim()
  })
  parser.write(xml).close()
  return vectors
}

/** The last vector writes the same narrative with other line ends and quotation marks; we keep both as they came. */
function normal(resource: Resource): Resource {
  const { text } = resource as { text?: { div: string } }
  if (!text) return resource
  return { ...resource, text: { ...text, div: text.div.replaceAll('\r\n', '\n').replaceAll('&quot;', '"') } }
}

vectorTest('the official FHIRPath Patch vectors (needs ../shared)', () => {
  const vectors = vectorsIn(vectorFile('fhir-patch-tests.xml'))
  expect(vectors).toHaveLength(33)
  for (const { name, input, diff, output } of vectors) {
    const before = readXml(input)
    const copy = structuredClone(before)
    const patched = () => applyFhirPathPatch(before, readXml(diff))
    if (output === '') expect(patched).toThrow(FhirError)
    else expect([name, normal(patched())]).toEqual([name, normal(readXml(output))])
    expect(before).toEqual(copy)
  }
})

vectorTest('the Parameters of the FHIRPath Patch vectors stay equal in XML (needs ../shared)', () => {
  for (const { diff } of vectorsIn(vectorFile('fhir-patch-tests.xml'))) {
    const parameters: Resource = readXml(diff)
    expect(readXml(writeXml(parameters))).toEqual(parameters)
  }
})
