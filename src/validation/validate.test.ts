import { expect, test } from '@jest/globals'
import type { JsonObject } from '../fhir/index.js'
import { issuesMax } from './findings.js'
import { validate } from './validate.js'

const patient: JsonObject = {
  resourceType: 'Patient',
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' },
}

test('a valid resource has no issues', async () => expect(await validate(patient)).toEqual([]))

test('codes and invariants are reported together', async () => {
  const issues = await validate({ ...patient, gender: 'x', contact: [{ gender: 'male' }] })
  expect(issues.map(({ code }) => code)).toEqual(['code-invalid', 'invariant'])
})

test('invariants can be left out', async () =>
  expect(await validate({ ...patient, contact: [{ gender: 'male' }] }, { invariants: false })).toEqual([]))

test('invariants are not asked of a broken structure', async () => {
  const issues = await validate({ ...patient, foo: 1, contact: [{ gender: 'male' }] })
  expect(issues.map(({ code }) => code)).toEqual(['structure'])
})

test('a long check lets others go first, and ends at a hundred issues', async () => {
  const entry = Array.from({ length: 3000 }, () => ({
    resource: { ...patient, name: [{ period: { start: '2020' } }] },
  }))
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  expect(await validate({ resourceType: 'Bundle', type: 'collection', entry })).toEqual([])
  clearInterval(timer)
  expect(turns).toBeGreaterThan(3)
  const bad = entry.map(() => ({ resource: { ...patient, contact: [{ gender: 'male' }] } }))
  expect(await validate({ resourceType: 'Bundle', type: 'collection', entry: bad })).toHaveLength(issuesMax)
})
