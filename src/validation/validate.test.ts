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

test('a long check lets others go first', async () => {
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  try {
    expect(await validate(bundleOf(5000, { name: [{ period: { start: '2020' } }] }))).toEqual([])
  } finally {
    clearInterval(timer)
  }
  expect(turns).toBeGreaterThan(3)
})

test('a check ends at a hundred issues', async () =>
  expect(await validate(bundleOf(200, { contact: [{ gender: 'male' }] }))).toHaveLength(issuesMax))

function bundleOf(count: number, more: JsonObject): JsonObject {
  const entry = Array.from({ length: count }, () => ({ resource: { ...patient, ...more } }))
  return { resourceType: 'Bundle', type: 'collection', entry }
}
