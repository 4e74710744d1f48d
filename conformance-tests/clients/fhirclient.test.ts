/**
 * A client of others, unchanged: fhirclient, the library of SMART apps, against an open server.
 *
 * https://github.com/smart-on-fhir/client-js
 */
import { createRequire } from 'node:module'
import { beforeAll, expect, test } from '@jest/globals'
import type { Bundle, Patient } from 'fhir/r4.js'
import { baseUrl, created, idsIn, unique } from '../server.js'

/** What we use of it; its own types are those of a browser. */
type Client = {
  request<T>(url: string, options?: { pageLimit?: number; flat?: boolean; resolveReferences?: string[] }): Promise<T>
}
type Smart = (request: object, response: object, storage: object) => { client(state: { serverUrl: string }): Client }

let client: Client

beforeAll(() => {
  const smart = createRequire(import.meta.url)('fhirclient') as Smart
  client = smart({ headers: {} }, {}, {}).client({ serverUrl: baseUrl() })
})

test('reads and searches', async () => {
  const family = unique('Smart')
  const { id } = await created<Patient>({ resourceType: 'Patient', name: [{ family }] })
  expect((await client.request<Patient>(`Patient/${id}`)).id).toBe(id)
  expect(idsIn(await client.request<Bundle>(`Patient?family=${family}`))).toEqual([id])
  await expect(client.request(`Patient/${unique()}`)).rejects.toThrow(/404/)
})

test('turns all pages by itself', async () => {
  const family = unique('Pages')
  for (let i = 0; i < 5; i++) await created<Patient>({ resourceType: 'Patient', name: [{ family }] })
  const all = await client.request<Patient[]>(`Patient?family=${family}&_count=2`, { pageLimit: 0, flat: true })
  expect(all).toHaveLength(5)
})

test('resolves references', async () => {
  const organization = await created({ resourceType: 'Organization', name: 'O' })
  const { id } = await created<Patient>({
    resourceType: 'Patient',
    managingOrganization: { reference: `Organization/${organization.id}` },
  })
  const resolved = await client.request<Patient & { managingOrganization: { name: string } }>(`Patient/${id}`, {
    resolveReferences: ['managingOrganization'],
  })
  expect(resolved.managingOrganization.name).toBe('O')
})
