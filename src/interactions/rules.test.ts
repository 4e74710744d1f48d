import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { business, type Resource } from '../fhir/index.js'
import type { Context, Rule } from './context.js'
import { create } from './create.js'
import { prepare } from './prepare.js'
import { bundle } from './process-bundle.js'
import { countOf, dispatchTo, failureOf, type World, world } from './testing.js'
import { update } from './update.js'

let context: World
beforeEach(async () => {
  context = await world()
})
afterEach(() => context.close())

const patient: Resource = { resourceType: 'Patient' }
const ruled = (...rules: Rule[]): Context => ({ ...context, rules })

test('a rule sees each change with what it replaces', async () => {
  const seen: [string, string, number | undefined][] = []
  const watching = ruled(async ({ op, type }, before) => {
    seen.push([op, type, before?.version])
    return []
  })
  await create(watching, patient)
  await update(watching, { type: 'Patient', id: 'p' }, { ...patient, id: 'p' })
  await update(watching, { type: 'Patient', id: 'p' }, { ...patient, id: 'p', active: true })
  const entry = [
    { request: { method: 'DELETE', url: 'Patient/p' } },
    { resource: patient, request: { method: 'POST', url: 'Patient' } },
  ]
  await bundle(watching, { resourceType: 'Bundle', type: 'transaction', entry }, dispatchTo(context))
  expect(seen).toEqual([
    ['put', 'Patient', undefined],
    ['put', 'Patient', undefined],
    ['put', 'Patient', 1],
    ['delete', 'Patient', 2],
    ['put', 'Patient', undefined],
  ])
})

test('what a rule adds is in the same commit, and not in the answer', async () => {
  const following = ruled(async ({ type }) =>
    type === 'Patient'
      ? [prepare(context, { resourceType: 'Basic', code: { text: 'x' } }, { id: context.newId(), method: 'POST' })]
      : [],
  )
  const { stored } = await create(following, patient)
  expect(stored.type).toBe('Patient')
  expect(await countOf(context, 'Basic')).toBe(1)
  const entry = [{ resource: patient, request: { method: 'POST', url: 'Patient' } }]
  const answer = await bundle(following, { resourceType: 'Bundle', type: 'transaction', entry }, dispatchTo(context))
  expect(answer.entries).toHaveLength(1)
  expect(await countOf(context, 'Basic')).toBe(2)
})

test('a rule that refuses lets nothing through', async () => {
  const refusing = ruled(() => Promise.reject(business('not like this')))
  expect((await failureOf(create(refusing, patient))).status).toBe(422)
  expect(await countOf(context, 'Patient')).toBe(0)
})
