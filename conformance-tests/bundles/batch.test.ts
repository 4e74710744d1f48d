/**
 * FHIR batch interaction: many requests, each on its own.
 *
 * https://hl7.org/fhir/R4/http.html#brules
 */
import { describe, expect, test } from '@jest/globals'
import type { Bundle, BundleEntry, OperationOutcome, Parameters, Patient } from 'fhir/r4.js'
import { created, expectOutcome, get, post, resourceIn, unique } from '../server.js'

const batch = async (...entry: BundleEntry[]): Promise<BundleEntry[]> => {
  const answer = await post('', { resourceType: 'Bundle', type: 'batch', entry })
  expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
  const { type, entry: entries = [] } = resourceIn<Bundle>(answer)
  expect(type).toBe('batch-response')
  expect(entries).toHaveLength(entry.length)
  return entries
}

const statusOf = ({ response }: BundleEntry) => Number(response?.status.slice(0, 3))

const patient = (): Patient => ({ resourceType: 'Patient', name: [{ family: unique('Batch') }] })

describe('batch', () => {
  test('every kind of request has its answer', async () => {
    const known = await created(patient())
    const gone = await created(patient())
    const entries = await batch(
      { request: { method: 'GET', url: `Patient/${known.id}` } },
      { request: { method: 'GET', url: `Patient/${known.id}/_history/1` } },
      { request: { method: 'GET', url: `Patient/${known.id}/_history` } },
      { request: { method: 'GET', url: `Patient?_id=${known.id}` } },
      { request: { method: 'HEAD' as never, url: `Patient/${known.id}` } },
      { resource: patient(), request: { method: 'POST', url: 'Patient' } },
      { resource: { ...patient(), id: known.id }, request: { method: 'PUT', url: `Patient/${known.id}` } },
      { request: { method: 'DELETE', url: `Patient/${gone.id}` } },
      { request: { method: 'GET', url: 'metadata' } },
      { request: { method: 'GET', url: `Patient/${known.id}/$everything` } },
      { request: { method: 'GET', url: `Patient/${known.id}/$meta` } },
    )
    const kinds = entries.map(({ resource }) => resource?.resourceType)
    expect(entries.map(statusOf)).toEqual([
      200,
      200,
      200,
      200,
      expect.any(Number),
      201,
      200,
      expect.any(Number),
      200,
      200,
      200,
    ])
    expect(kinds.slice(0, 4)).toEqual(['Patient', 'Patient', 'Bundle', 'Bundle'])
    expect(kinds.slice(8)).toEqual(['CapabilityStatement', 'Bundle', 'Parameters'])
    expect((entries[10]!.resource as Parameters).parameter?.[0]?.name).toBe('return')
    expect([200, 204]).toContain(statusOf(entries[7]!))
  })

  test('one failure does not touch the others and has an outcome of its own', async () => {
    const entries = await batch(
      { resource: { ...patient(), birthDate: 'x' } as Patient, request: { method: 'POST', url: 'Patient' } },
      { resource: patient(), request: { method: 'POST', url: 'Patient' } },
      { request: { method: 'GET', url: `Patient/${unique()}` } },
      { request: { method: 'GET', url: 'Patient?nothing=1' } },
      { request: { method: 'GET', url: '%zz' } },
      { request: { method: 'TRACE' as never, url: 'Patient' } },
      {} as BundleEntry,
      { resource: patient(), request: { method: 'POST', url: 'Observation' } },
      { request: { method: 'POST', url: 'Patient' } },
    )
    expect(entries.map((entry) => Math.floor(statusOf(entry) / 100))).toEqual([4, 2, 4, 4, 4, 4, 4, 4, 4])
    for (const entry of entries.filter((each) => statusOf(each) >= 400))
      expect((entry.response!.outcome as OperationOutcome).issue[0]?.diagnostics).toBeTruthy()
  })

  test('preconditions count in an entry', async () => {
    const known = await created(patient())
    const criteria = `_id=${known.id}`
    const entries = await batch(
      {
        resource: { ...patient(), id: known.id },
        request: { method: 'PUT', url: `Patient/${known.id}`, ifMatch: 'W/"9"' },
      },
      { resource: patient(), request: { method: 'POST', url: 'Patient', ifNoneExist: criteria } },
      { request: { method: 'GET', url: `Patient/${known.id}`, ifNoneMatch: 'W/"1"' } },
    )
    expect(entries.map(statusOf)).toEqual([412, 200, 304])
  })

  test('an empty batch is answered', async () => {
    expect(await batch()).toEqual([])
  })

  test.each<[string, unknown]>([
    ['no Bundle', patient()],
    ['a Bundle of another type', { resourceType: 'Bundle', type: 'collection', entry: [] }],
    ['a Bundle without a type', { resourceType: 'Bundle', entry: [] }],
    ['entries that are no list', { resourceType: 'Bundle', type: 'batch', entry: 'x' }],
  ])('%s is 400 or 422', async (_name, body) => {
    expectOutcome(await post('', body), [400, 422])
  })

  test('what the answer says was stored is stored', async () => {
    const [entry] = await batch({ resource: patient(), request: { method: 'POST', url: 'Patient' } })
    const path = entry!.response!.location!.replace(/^.*(Patient\/[^/]+\/_history\/.*)$/, '$1')
    expect((await get(path)).status).toBe(200)
  })
})
