/**
 * The promise in capability/ is what /metadata claims, and each claim has a case here that proves it.
 *
 * https://hl7.org/fhir/R4/capabilitystatement.html
 */
import { readdirSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { CapabilityStatement, CapabilityStatementRest, CapabilityStatementRestResource } from 'fhir/r4.js'
import { bundle, get, post, resourceIn } from './server.js'

const promise = JSON.parse(
  readFileSync(new URL('../capability/statement.json', import.meta.url), 'utf8'),
) as CapabilityStatement
const [promised] = promise.rest as [CapabilityStatementRest]

let statement: CapabilityStatement
let claimed: CapabilityStatementRest

beforeAll(async () => {
  statement = resourceIn(await get('metadata'))
  claimed = statement.rest!.find(({ mode }) => mode === 'server')!
})

const codes = (list: { code: string }[] = []) => list.map(({ code }) => code)
const names = (list: { name: string }[] = []) => list.map(({ name }) => name)
const missing = (wanted: string[], there: string[]) => wanted.filter((each) => !there.includes(each))

describe('/metadata keeps the promise', () => {
  test('of formats, patches, interactions, operations and compartments', () => {
    expect(statement.fhirVersion).toBe(promise.fhirVersion)
    const formats = statement.format.join(' ')
    for (const format of promise.format) expect(formats).toContain(format)
    expect(missing(promise.patchFormat!, statement.patchFormat ?? [])).toEqual([])
    expect(missing(codes(promised.interaction), codes(claimed.interaction))).toEqual([])
    expect(missing(names(promised.operation), names(claimed.operation))).toEqual([])
    expect(
      missing(names(promised.searchParam), [
        ...names(claimed.searchParam),
        ...names(claimed.resource?.[0]?.searchParam),
      ]),
    ).toEqual([])
    expect(missing(promised.compartment!, claimed.compartment ?? [])).toEqual([])
  })

  test.each(promised.resource!.map((each): [string, CapabilityStatementRestResource] => [each.type, each]))(
    'of %s',
    (type, wanted) => {
      const there = claimed.resource?.find((each) => each.type === type)
      expect(missing(codes(wanted.interaction), codes(there?.interaction))).toEqual([])
      expect(missing(names(wanted.operation), [...names(there?.operation), ...names(claimed.operation)])).toEqual([])
      const params = new Map(there?.searchParam?.map((each) => [each.name, each]))
      expect(wanted.searchParam?.filter(({ name, type: kind }) => params.get(name)?.type !== kind) ?? []).toEqual([])
      for (const key of [
        'versioning',
        'readHistory',
        'updateCreate',
        'conditionalCreate',
        'conditionalRead',
        'conditionalUpdate',
      ] as const)
        expect([key, there?.[key]]).toEqual([key, wanted[key]])
      if (type !== 'AuditEvent') expect(['single', 'multiple']).toContain(there?.conditionalDelete)
    },
  )

  test('and is valid itself', async () => {
    const { issue } = JSON.parse((await post('CapabilityStatement/$validate', statement)).text)
    expect(issue.filter(({ severity }: { severity: string }) => severity === 'error')).toEqual([])
  })
})

test('every search parameter that is claimed is answered', async () => {
  const sample: Record<string, string> = {
    number: '1',
    date: '2000',
    string: 'x',
    token: 'x',
    reference: 'Patient/x',
    composite: 'x$x',
    quantity: '1',
    uri: 'http://x',
  }
  const refused: string[] = []
  for (const { type, searchParam = [] } of claimed.resource ?? []) {
    const entry = searchParam
      .filter(({ type: kind, name }) => sample[kind] !== undefined && kind !== 'composite' && !name.startsWith('_'))
      .map(({ name, type: kind }) => ({
        request: { method: 'GET' as const, url: `${type}?${name}=${sample[kind]}&_summary=count` },
      }))
    if (entry.length === 0) continue
    const answer = resourceIn<import('fhir/r4.js').Bundle>(
      await post('', { resourceType: 'Bundle', type: 'batch', entry }),
    )
    answer.entry!.forEach(({ response }, index) => {
      if (!response?.status.startsWith('200')) refused.push(`${entry[index]!.request.url}: ${response?.status}`)
    })
  }
  expect(refused).toEqual([])
}, 120_000)

test('every type can be searched for nothing', async () => {
  for (const { type } of claimed.resource ?? []) expect((await bundle(`${type}?_id=nothing`)).type).toBe('searchset')
}, 60_000)

describe('each claim has a case', () => {
  const texts = readdirSync(new URL('.', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(new URL(name, import.meta.url), 'utf8'))
    .join('\n')
  const described = new Set([...texts.matchAll(/describe\('([^']+)'/g)].map(([, name]) => name!.split(' ')[0]!))

  const claims = new Set([
    ...codes(promised.interaction),
    ...promised.resource!.flatMap(({ interaction }) => codes(interaction)),
    ...[...promised.operation!, ...promised.resource!.flatMap(({ operation = [] }) => operation)].map(
      ({ name }) => `$${name}`,
    ),
    ...promised.resource!.flatMap(({ searchParam = [] }) => searchParam.map(({ type }) => type)),
    'conditional',
  ])
  test.each([...claims])('%s', (claim) => expect(described).toContain(claim))
})
