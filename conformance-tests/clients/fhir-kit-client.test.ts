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

const patient = (family: string) => ({ resourceType: 'Patient' as const, name: [{ family }] })

/** The client knows a resource by its type alone. */
const a = <T>(resource: unknown) => resource as T

test('reads what the server can do', async () => {
  const statement = a<CapabilityStatement>(await client.capabilityStatement())
  expect(statement.fhirVersion).toBe('4.0.1')
})

test('creates, reads, updates, patches, deletes, and reads the history', async () => {
  const family = unique('Kit')
  const { id } = a<Patient & { id: string }>(await client.create({ resourceType: 'Patient', body: patient(family) }))
  expect(a<Patient>(await client.read({ resourceType: 'Patient', id })).name?.[0]?.family).toBe(family)
  await client.update({ resourceType: 'Patient', id, body: { ...patient(family), id, active: true } })
  await client.patch({ resourceType: 'Patient', id, jsonPatch: [{ op: 'replace', path: '/active', value: false }] })
  expect(a<Patient>(await client.vread({ resourceType: 'Patient', id, version: '2' })).active).toBe(true)
  expect(a<Patient>(await client.read({ resourceType: 'Patient', id })).active).toBe(false)
  expect(a<Bundle>(await client.history({ resourceType: 'Patient', id })).total).toBe(3)
  await client.delete({ resourceType: 'Patient', id })
  await expect(client.read({ resourceType: 'Patient', id })).rejects.toMatchObject({ response: { status: 410 } })
})

test('searches, and turns the pages', async () => {
  const family = unique('Pages')
  for (let i = 0; i < 5; i++) await client.create({ resourceType: 'Patient', body: patient(family) })
  const asked = { resourceType: 'Patient', searchParams: { family, _count: '2' } }
  let page = a<Bundle | undefined>(await client.search(asked))
  const ids: unknown[] = []
  while (page) {
    ids.push(...idsIn(page))
    page = a<Bundle | undefined>(await client.nextPage({ bundle: page as never }))
  }
  expect(new Set(ids).size).toBe(5)
  const posted = await client.search({
    resourceType: 'Patient',
    searchParams: { family },
    options: { postSearch: true },
  } as never)
  expect(idsIn(a<Bundle>(posted))).toHaveLength(5)
})

test('searches compartments, sends batches and transactions, calls operations', async () => {
  const family = unique('Batch')
  const entry = [1, 2].map(() => ({ resource: patient(family), request: { method: 'POST' as const, url: 'Patient' } }))
  const batch = a<Bundle>(await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry } }))
  expect(entriesOf(batch).map(({ response }) => response?.status.slice(0, 3))).toEqual(['201', '201'])
  const transaction = a<Bundle>(
    await client.transaction({
      body: { resourceType: 'Bundle', type: 'transaction', entry },
    }),
  )
  expect(transaction.type).toBe('transaction-response')
  const found = a<Bundle>(await client.search({ resourceType: 'Patient', searchParams: { family } }))
  const id = idsIn(found)[0]!
  const everything = a<Bundle>(
    await client.operation({
      name: '$everything',
      resourceType: 'Patient',
      id,
      method: 'GET',
    }),
  )
  expect(idsIn(everything)).toEqual([id])
  const inside = await client.search({ resourceType: 'Observation', compartment: { resourceType: 'Patient', id } })
  expect(entriesOf(a<Bundle>(inside))).toEqual([])
})
