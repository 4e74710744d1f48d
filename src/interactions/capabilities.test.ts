import { describe, expect, test } from '@jest/globals'
import { type JsonObject, resourceTypes } from '../fhir/index.js'
import { parse, searchParams } from '../search/index.js'
import { structureIssues } from '../validation/index.js'
import { capabilities } from './capabilities.js'
import type { Context } from './context.js'

const context = {
  searchParams: searchParams(),
  baseUrls: ['http://x/fhir'],
  terminology: { expand: () => Promise.resolve([]), related: () => Promise.resolve([]) },
  settings: { integrity: true, zone: 'UTC', pageSize: 20, pageSizeMax: 100 },
} as unknown as Context

const statement = capabilities(context, {
  software: { name: 'hospitallink', version: '1' },
  date: '2024-01-01',
  formats: ['json', 'xml'],
  patchFormats: ['application/json-patch+json'],
  operations: [
    {
      code: 'everything',
      definition: 'http://x/everything',
      system: false,
      types: ['Patient'],
      type: true,
      instance: true,
    },
    { code: 'meta', definition: 'http://x/meta', system: true, type: true, instance: true },
    { code: 'convert', definition: 'http://x/convert', system: true, type: false, instance: false },
  ],
})
const list = (object: JsonObject, name: string) => (object[name] ?? []) as JsonObject[]
const rest = list(statement, 'rest')[0]!
const resources = list(rest, 'resource')
const resource = (type: string) => resources.find((each) => each['type'] === type)!
const names = (object: JsonObject, name: string) => list(object, name).map((each) => each['name'])

describe('the CapabilityStatement', () => {
  test('is a valid resource', () => expect(structureIssues(statement)).toEqual([]))

  test('lists every type once, with every interaction', () => {
    expect(resources.map(({ type }) => type)).toEqual([...resourceTypes])
    for (const each of resources.filter(({ type }) => type !== 'AuditEvent'))
      expect(list(each, 'interaction').map(({ code }) => code)).toEqual([
        'read',
        'vread',
        'update',
        'patch',
        'delete',
        'history-instance',
        'history-type',
        'create',
        'search-type',
      ])
  })

  test('lists for AuditEvent what adds and finds, and nothing that changes', () => {
    const { interaction, updateCreate } = resource('AuditEvent')
    expect((interaction as JsonObject[]).map(({ code }) => code)).toEqual([
      'read',
      'vread',
      'history-instance',
      'create',
      'search-type',
    ])
    expect(updateCreate).toBe(false)
  })

  test('names a search parameter once in each type', () => {
    for (const each of [...resources, rest]) {
      const codes = names(each, 'searchParam')
      expect(new Set(codes).size).toBe(codes.length)
    }
    expect(names(resource('Patient'), 'searchParam')).toEqual(
      expect.arrayContaining(['_id', '_lastUpdated', 'birthdate', 'name']),
    )
  })

  test('lists operations where they can be called', () => {
    expect(names(rest, 'operation')).toEqual(['meta', 'convert'])
    expect(names(resource('Patient'), 'operation')).toEqual(['everything', 'meta'])
    expect(names(resource('Group'), 'operation')).toEqual(['meta'])
  })

  test('lists includes in both directions', () => {
    expect(resource('Observation')['searchInclude']).toEqual(expect.arrayContaining(['*', 'Observation:subject']))
    expect(resource('Patient')['searchRevInclude']).toEqual(
      expect.arrayContaining(['Observation:subject', 'Provenance:target']),
    )
    expect(resource('Binary')).not.toHaveProperty('searchInclude')
  })

  const values: Record<string, string> = {
    number: '1',
    date: '2020',
    string: 'x',
    token: 'x',
    reference: 'Patient/1',
    quantity: '1',
    uri: 'http://x',
  }
  test('claims no search parameter that is not understood', async () => {
    const refused: string[] = []
    for (const each of resources)
      for (const { name, type } of list(each, 'searchParam')) {
        const value = values[String(type)]
        if (value === undefined) continue
        const request = { types: [String(each['type'])], parameters: [[String(name), value]] as [string, string][] }
        const { searchParams, terminology, baseUrls, settings } = context
        await parse(request, { searchParams, terminology, baseUrls, ...settings, handling: 'strict' }).catch(() =>
          refused.push(`${each['type']}?${name}`),
        )
      }
    expect(refused).toEqual([])
  })
})
