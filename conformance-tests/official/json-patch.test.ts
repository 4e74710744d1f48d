/**
 * The official JSON Patch vectors, which are those of RFC 6902's appendix.
 *
 * https://hl7.org/fhir/R4/http.html#patch
 */
import { expect } from '@jest/globals'
import { applyJsonPatch, FhirError, type JsonObject, parseJson, type Resource } from '../../src/fhir/index.js'
import { vectorFile, vectorTest } from './vectors.js'

type Vector = { comment: string; doc: JsonObject; patch: JsonObject[]; expected?: JsonObject }

vectorTest('the official JSON Patch vectors (needs ../shared)', () => {
  const vectors = parseJson(vectorFile('json-patch-tests.json')) as Vector[]
  expect(vectors).toHaveLength(16)
  for (const { comment, doc, patch, expected } of vectors) {
    // The documents of the vectors are no resources; a resource type beside them changes none of their paths.
    const resource = { resourceType: 'Basic', ...doc } as Resource
    if (expected)
      expect([comment, applyJsonPatch(resource, patch)]).toEqual([comment, { resourceType: 'Basic', ...expected }])
    else expect(() => applyJsonPatch(resource, patch)).toThrow(FhirError)
  }
})
