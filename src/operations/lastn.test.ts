import { expect, test } from '@jest/globals'
import { type Json, parseJson, type Resource } from '../fhir/index.js'
import { create } from '../interactions/index.js'
import { world } from '../interactions/testing.js'
import { lastn } from './lastn.js'

const coded = (...codes: string[]) => ({ coding: codes.map((code) => ({ system: 'http://loinc.org', code })) })

/** The table of the definition: codes of three observations, and how many groups they make. */
test.each<[Json[], number]>([
  [[coded('a'), coded('b'), coded('c')], 3],
  [[coded('a'), coded('b'), coded('a', 'c')], 2],
  [[coded('a'), coded('b'), coded('a', 'b')], 1],
  [[{ text: 'textM' }, { text: 'Text' }, { text: 't e x t' }], 3],
  [[coded('a', 'b'), coded('b', 'c'), coded('c', 'd')], 1],
  [[{ text: 'a' }, coded('a'), { coding: [{ code: 'a' }] }], 3],
])('codes %j make %i groups', async (codes, groups) => {
  const context = await world()
  await create(context, { resourceType: 'Patient' })
  for (const [index, code] of codes.entries())
    await create(context, {
      resourceType: 'Observation',
      status: 'final',
      category: [{ coding: [{ code: 'vital-signs' }] }],
      code,
      subject: { reference: 'Patient/n1' },
      effectiveDateTime: `2020-01-0${index + 1}`,
    })
  const parameters: [string, string][] = [
    ['patient', 'n1'],
    ['category', 'vital-signs'],
  ]
  const answer = await lastn.run(context, {
    type: 'Observation',
    parameters,
    url: 'http://hospital.test/fhir/Observation/$lastn',
  })
  const bundle = parseJson((answer as { body: Buffer }).body) as Resource
  expect(bundle['total']).toBe(groups)
  await context.close()
})
