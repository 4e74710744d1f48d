/**
 * A client of others, unchanged: fhir-kit-client.
 *
 * https://github.com/Vermonster/fhir-kit-client
 */
import { beforeAll, expect, test } from '@jest/globals'
import type { Bundle, CapabilityStatement, Patient } from 'fhir/r4.js'
import { Client } from 'fhir-kit-client'
import { baseUrl, entriesOf, idsIn, unique } from '../server.js'

let client: Client

beforeAll(() => {
  client = new Client({ baseUrl: baseUrl() })
})

const patient = (family: string): Patient => ({ resourceType: 'Patient', name: [{ family }] })

test('reads what the server can do', async () => {
  const statement = (await client.capabilityStatement()) as CapabilityStatement
  expect(statement.fhirVersion).toBe('4.0.1')
})

test('creates, reads, updates, patches, deletes, and reads the history', async () => {
  const family = unique('Kit')
  const { id } = (await client.create({ resourceType: 'Patient', body: patient(family) })) as Patient & { id: string }
  expect(((await client.read({ resourceType: 'Patient', id })) as Patient).name?.[0]?.family).toBe(family)
  await client.update({ resourceType: 'Patient', id, body: { ...patient(family), id, active: true } as Patient })
  await client.patch({ resourceType: 'Patient', id, jsonPatch: [{ op: 'replace', path: '/active', value: false }] })
  expect(((await client.vread({ resourceType: 'Patient', id, version: '2' })) as Patient).active).toBe(true)
  expect(((await client.read({ resourceType: 'Patient', id })) as Patient).active).toBe(false)
  expect(((await client.history({ resourceType: 'Patient', id })) as Bundle).total).toBe(3)
  await client.delete({ resourceType: 'Patient', id })
  await expect(client.read({ resourceType: 'Patient', id })).rejects.toMatchObject({ response: { status: 410 } })
})

test('searches, and turns the pages', async () => {
  const family = unique('Pages')
  for (let i = 0; i < 5; i++) await client.create({ resourceType: 'Patient', body: patient(family) })
  let page = (await client.search({ resourceType: 'Patient', searchParams: { family, _count: '2' } })) as
    | Bundle
    | undefined
  const ids: unknown[] = []
  while (page) {
    ids.push(...idsIn(page))
    page = (await client.nextPage({ bundle: page as never })) as Bundle | undefined
  }
  expect(new Set(ids).size).toBe(5)
  const posted = await client.search({
    resourceType: 'Patient',
    searchParams: { family },
    options: { postSearch: true },
  } as never)
  expect(idsIn(posted as Bundle)).toHaveLength(5)
})

test('searches compartments, sends batches and transactions, calls operations', async () => {
  const family = unique('Batch')
  const entry = [1, 2].map(() => ({ resource: patient(family), request: { method: 'POST' as const, url: 'Patient' } }))
  const batch = (await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry } })) as Bundle
  expect(entriesOf(batch).map(({ response }) => response?.status.slice(0, 3))).toEqual(['201', '201'])
  const transaction = (await client.transaction({
    body: { resourceType: 'Bundle', type: 'transaction', entry },
  })) as Bundle
  expect(transaction.type).toBe('transaction-response')
  const found = (await client.search({ resourceType: 'Patient', searchParams: { family } })) as Bundle
  const id = idsIn(found)[0]!
  const everything = (await client.operation({
    name: '$everything',
    resourceType: 'Patient',
    id,
    method: 'GET',
  })) as Bundle
  expect(idsIn(everything)).toEqual([id])
  const inside = await client.search({ resourceType: 'Observation', compartment: { resourceType: 'Patient', id } })
  expect(entriesOf(inside as Bundle)).toEqual([])
})
