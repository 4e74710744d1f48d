/**
 * A client of others, unchanged: @medplum/core.
 *
 * https://www.medplum.com/docs/sdk/core.medplumclient
 */
import { beforeAll, expect, test } from '@jest/globals'
import { MedplumClient } from '@medplum/core'
import type { Bundle, Patient } from 'fhir/r4.js'
import { baseUrl, entriesOf, idsIn, unique } from '../server.js'

let client: MedplumClient

beforeAll(() => {
  const { origin, pathname } = new URL(baseUrl())
  client = new MedplumClient({ baseUrl: `${origin}/`, fhirUrlPath: pathname.slice(1), cacheTime: 0, fetch })
})

/** Their types of R4 and ours are two libraries; the resources are the same. */
type Theirs = Parameters<typeof client.createResource>[0] & { resourceType: 'Patient'; id?: string }
const patient = (family: string, more: Partial<Patient> = {}) =>
  ({ resourceType: 'Patient', name: [{ family }], ...more }) as unknown as Theirs

test('creates, reads, updates, patches, deletes, and reads the history', async () => {
  const { id } = await client.createResource(patient(unique('Medplum')))
  expect((await client.readResource('Patient', id!)).id).toBe(id)
  await client.updateResource(patient('Changed', { id: id!, active: true }))
  const patched = await client.patchResource('Patient', id!, [{ op: 'replace', path: '/active', value: false }])
  expect(patched.active).toBe(false)
  expect((await client.readVersion('Patient', id!, '2')).active).toBe(true)
  expect((await client.readHistory('Patient', id!)).entry).toHaveLength(3)
  await client.deleteResource('Patient', id!)
  await expect(client.readResource('Patient', id!)).rejects.toBeTruthy()
})

test('searches, and turns the pages', async () => {
  const family = unique('Pages')
  for (let i = 0; i < 5; i++) await client.createResource(patient(family))
  const ids: unknown[] = []
  for await (const page of client.searchResourcePages('Patient', { family, _count: 2 }))
    ids.push(...page.map(({ id }) => id))
  expect(new Set(ids).size).toBe(5)
  expect((await client.search('Patient', `family=${family}&_summary=count`)).total).toBe(5)
  expect((await client.searchOne('Patient', { family }))?.name?.[0]?.family).toBe(family)
})

test('creates once, upserts, sends batches, validates, and reads everything', async () => {
  const family = unique('Once')
  const first = await client.createResourceIfNoneExist(patient(family), `family=${family}`)
  const second = await client.createResourceIfNoneExist(patient(family), `family=${family}`)
  expect(second.id).toBe(first.id)
  const upserted = await client.upsertResource(patient(family, { active: true }), `family=${family}`)
  expect(upserted.id).toBe(first.id)
  const batch = await client.executeBatch({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [{ resource: patient(family) as never, request: { method: 'POST', url: 'Patient' } }],
  })
  expect(entriesOf(batch as Bundle).map(({ response }) => response?.status.slice(0, 3))).toEqual(['201'])
  const outcome = await client.validateResource(patient(family))
  expect(outcome.resourceType).toBe('OperationOutcome')
  expect(idsIn((await client.readPatientEverything(first.id!)) as Bundle)).toEqual([first.id])
})
