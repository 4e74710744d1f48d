import { describe, expect, test } from '@jest/globals'
import { parseJson, type Resource, writeJson } from '../fhir/index.js'
import { subsetBytes, subsetOf } from './subset.js'

const subsetted = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }
const observation: Resource = {
  resourceType: 'Observation',
  id: '1',
  meta: { versionId: '2', tag: [{ code: 'kept' }] },
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' },
  status: 'final',
  _status: { id: 's' },
  code: { text: 'glucose' },
  note: [{ text: 'long' }],
  valueQuantity: { value: 1 },
  referenceRange: [{ text: 'normal' }],
}
const keys = (resource: Resource) => Object.keys(resource)

describe('_summary', () => {
  test('true gives the elements marked as summary, and what is mandatory', () =>
    expect(keys(subsetOf(observation, { summary: 'true' }))).toEqual([
      'resourceType',
      'id',
      'meta',
      'status',
      '_status',
      'code',
      'valueQuantity',
    ]))

  test('text gives text, id, meta and the mandatory elements at the top', () =>
    expect(keys(subsetOf(observation, { summary: 'text' }))).toEqual([
      'resourceType',
      'id',
      'meta',
      'text',
      'status',
      '_status',
      'code',
    ]))

  test('data leaves the text out', () => {
    const part = subsetOf(observation, { summary: 'data' })
    expect(part).not.toHaveProperty('text')
    expect(part).toHaveProperty('note')
  })

  test('false is the whole resource, unmarked', () =>
    expect(subsetOf(observation, { summary: 'false' })).toBe(observation))

  test('every part says that it is one, beside the tags it has', () => {
    for (const summary of ['true', 'text', 'data'] as const)
      expect(subsetOf(observation, { summary })['meta']).toEqual({ versionId: '2', tag: [{ code: 'kept' }, subsetted] })
  })

  test('a backbone element in the summary shows only what is in the summary', () => {
    const statement: Resource = {
      resourceType: 'CapabilityStatement',
      rest: [
        {
          mode: 'server',
          documentation: 'x',
          resource: [{ type: 'Patient', searchParam: [{ name: 'n', type: 'token' }] }],
        },
      ],
    }
    expect(subsetOf(statement, { summary: 'true' })['rest']).toEqual([
      { mode: 'server', resource: [{ type: 'Patient' }] },
    ])
  })
})

describe('_elements', () => {
  test('gives the named, the mandatory and the modifier elements', () => {
    expect(keys(subsetOf(observation, { elements: ['note'] }))).toEqual([
      'resourceType',
      'id',
      'meta',
      'status',
      '_status',
      'code',
      'note',
    ])
    const patient: Resource = { resourceType: 'Patient', active: false, gender: 'male', name: [] }
    expect(keys(subsetOf(patient, { elements: ['gender'] }))).toEqual(['resourceType', 'meta', 'active', 'gender'])
  })

  test('value names valueQuantity', () =>
    expect(subsetOf(observation, { elements: ['value'] })).toHaveProperty('valueQuantity', { value: 1 }))

  test('is about what was searched; an included resource is reduced only where it is named by type', () => {
    expect(subsetOf(observation, { elements: ['note'] }, 'include')).toBe(observation)
    expect(subsetOf(observation, { elements: ['Observation.note'] }, 'include')).not.toHaveProperty('valueQuantity')
    expect(subsetOf(observation, { elements: ['Patient.name'] })).toBe(observation)
  })

  test('unknown names leave what is mandatory', () =>
    expect(keys(subsetOf(observation, { elements: ['nonsense'] }))).toEqual([
      'resourceType',
      'id',
      'meta',
      'status',
      '_status',
      'code',
    ]))
})

test('decimals keep their digits', () => {
  const body = Buffer.from(
    '{"resourceType":"Observation","id":"1","status":"final","code":{},"valueQuantity":{"value":1.00}}',
  )
  const part = subsetBytes({ body }, { summary: 'data' }).toString()
  expect(part).toContain('"value":1.00')
  expect(writeJson(parseJson(part))).toBe(part)
})
