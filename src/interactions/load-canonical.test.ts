import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Resource } from '../fhir/index.js'
import { create } from './create.js'
import { loadCanonical } from './load-canonical.js'
import { type World, world } from './testing.js'
import { update } from './update.js'

const url = 'http://acme.org/ValueSet/a'
const valueSet: Resource = { resourceType: 'ValueSet', url, version: '1', status: 'active' }

let base: World
beforeEach(async () => {
  base = await world()
})
afterEach(() => base.close())

test('a version is read once; the next version is another', async () => {
  const { stored } = await create(base, valueSet)
  const load = loadCanonical(base)
  const first = await load(url, 'ValueSet')
  expect(first?.['meta']).toMatchObject({ versionId: '1' })
  expect(await load(`${url}|1`, 'ValueSet')).toBe(first)
  expect(await load(`ValueSet/${stored.id}`, 'ValueSet')).toBe(first)
  await update(base, { type: 'ValueSet', id: stored.id }, { ...valueSet, id: stored.id, version: '2' })
  expect((await load(url, 'ValueSet'))?.['meta']).toMatchObject({ versionId: '2' })
  expect(await load(`${url}|1`, 'ValueSet')).toBeUndefined()
})
