import { expect, test } from '@jest/globals'
import { metaOf } from '../access/index.js'
import { type Resource, serialize, splice } from '../fhir/index.js'

test.each<[Resource]>([
  [{ resourceType: 'Patient' }],
  [
    {
      resourceType: 'Patient',
      meta: { tag: [{ system: 'urn:"}{', code: 'a\\' }], source: '}' },
      name: [{ text: '"meta":{}' }],
    },
  ],
  [
    {
      resourceType: 'Patient',
      meta: { extension: [{ url: 'x', valueMeta: { source: '\\"' } }] },
      contained: [{ resourceType: 'Patient', meta: {} }],
    },
  ],
])('the meta of %j is found in its bytes', (resource) => {
  const { versionId, lastUpdated, ...kept } = metaOf(splice(serialize(resource, 'x'), 3, 0))
  expect({ versionId, lastUpdated }).toEqual({ versionId: '3', lastUpdated: '1970-01-01T00:00:00.000Z' })
  expect(kept).toEqual(resource['meta'] ?? {})
})
