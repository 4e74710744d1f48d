/**
 * Read, vread, create, update, delete and history of single resources.
 *
 * https://hl7.org/fhir/R4/http.html
 */
import { describe, expect, test } from '@jest/globals'
import type { Bundle, Patient } from 'fhir/r4.js'
import {
  baseUrl,
  bundle,
  created,
  entriesOf,
  expectOutcome,
  get,
  idsIn,
  linkOf,
  post,
  put,
  remove,
  resourceIn,
  send,
  unique,
} from '../server.js'

const patient = (family = unique('Family')): Patient => ({ resourceType: 'Patient', active: true, name: [{ family }] })

describe('create', () => {
  test('answers 201 with a Location that has the id and the version', async () => {
    const answer = await post('Patient', patient())
    expect(answer.status).toBe(201)
    const { id, meta } = resourceIn<Patient>(answer)
    expect(answer.headers.get('location')).toBe(`${baseUrl()}/Patient/${id}/_history/${meta?.versionId}`)
    expect(answer.headers.get('etag')).toBe(`W/"${meta?.versionId}"`)
    expect(Date.parse(answer.headers.get('last-modified') ?? '')).toBe(
      Math.floor(Date.parse(meta?.lastUpdated ?? '') / 1000) * 1000,
    )
  })

  test('ignores an id, a version and a time in the resource', async () => {
    const sent = {
      ...patient(),
      id: 'mine',
      meta: { versionId: '77', lastUpdated: '2001-01-01T00:00:00Z', tag: [{ code: 'kept' }] },
    }
    const { id, meta } = resourceIn<Patient>(await post('Patient', sent))
    expect(id).not.toBe('mine')
    expect(meta).toMatchObject({ versionId: '1', tag: [{ code: 'kept' }] })
    expect(meta?.lastUpdated).not.toContain('2001')
  })

  test('answers 404 for a type that R4 does not have, and 400 for a resource of another type', async () => {
    expectOutcome(await post('Pacient', { resourceType: 'Pacient' }), 404)
    expectOutcome(await post('Observation', patient()), 400)
  })

  test('answers 400 or 422 for what is no valid resource', async () => {
    expectOutcome(await post('Patient', { resourceType: 'Patient', birthDate: 'yesterday' }), [400, 422])
    expectOutcome(await post('Observation', { resourceType: 'Observation' }), [400, 422])
  })

  test('the same Idempotency-Key makes one resource', async () => {
    const key = { 'idempotency-key': unique() }
    const sent = patient()
    const [first, second] = [await post('Patient', sent, key), await post('Patient', sent, key)]
    expect(resourceIn<Patient>(second).id).toBe(resourceIn<Patient>(first).id)
    expectOutcome(await post('Patient', patient(), key), [409, 422])
  })
})

describe('read', () => {
  test('answers the resource with its version and time', async () => {
    const { id } = await created(patient())
    const answer = await get(`Patient/${id}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^application\/fhir\+json/)
    expect(answer.headers.get('etag')).toBe('W/"1"')
    expect(answer.headers.get('last-modified')).toBeTruthy()
    expect(resourceIn<Patient>(answer)).toMatchObject({ resourceType: 'Patient', id, meta: { versionId: '1' } })
  })

  test('answers 404 for what never was and 410 for what was deleted', async () => {
    const { id } = await created(patient())
    expectOutcome(await get(`Patient/${unique()}`), 404, 'not-found')
    await remove(`Patient/${id}`)
    expectOutcome(await get(`Patient/${id}`), 410, 'deleted')
  })

  test('HEAD answers the headers of GET and no body', async () => {
    const { id } = await created(patient())
    const [whole, head] = [await get(`Patient/${id}`), await send('HEAD', `Patient/${id}`)]
    expect(head.status).toBe(200)
    expect(head.bytes).toHaveLength(0)
    for (const name of ['etag', 'last-modified', 'content-type', 'content-length'])
      expect([name, head.headers.get(name)]).toEqual([name, whole.headers.get(name)])
  })

  test.each([
    ['If-None-Match', 'W/"1"', 304],
    ['If-None-Match', '*', 304],
    ['If-None-Match', 'W/"2"', 200],
    ['If-Modified-Since', new Date(Date.now() + 60_000).toUTCString(), 304],
    ['If-Modified-Since', new Date(0).toUTCString(), 200],
  ])('conditional read: %s %s answers %i', async (header, value, status) => {
    const { id } = await created(patient())
    const answer = await get(`Patient/${id}`, { [header]: value })
    expect(answer.status).toBe(status)
    if (status === 304) expect(answer.bytes).toHaveLength(0)
  })

  test('an id that cannot be one is 400 or 404', async () => {
    expectOutcome(await get(`Patient/${'a'.repeat(65)}`), [400, 404])
    expectOutcome(await get('Patient/with%20space'), [400, 404])
  })

  test('_summary and _elements leave out and say so', async () => {
    const { id } = await created({ ...patient(), photo: [{ title: 'x' }], gender: 'female' } as Patient)
    const summary = resourceIn<Patient>(await get(`Patient/${id}?_summary=true`))
    expect(summary.photo).toBeUndefined()
    expect(summary.gender).toBe('female')
    const elements = resourceIn<Patient>(await get(`Patient/${id}?_elements=gender`))
    expect(elements.name).toBeUndefined()
    expect(elements.gender).toBe('female')
    for (const { meta } of [summary, elements])
      expect(meta?.tag).toContainEqual(expect.objectContaining({ code: 'SUBSETTED' }))
  })
})

describe('vread', () => {
  test('answers each version as it was', async () => {
    const { id } = await created(patient('Before'))
    await put(`Patient/${id}`, { ...patient('After'), id })
    const [first, second] = [await get(`Patient/${id}/_history/1`), await get(`Patient/${id}/_history/2`)]
    expect(resourceIn<Patient>(first).name?.[0]?.family).toBe('Before')
    expect(resourceIn<Patient>(second).name?.[0]?.family).toBe('After')
    expect(first.headers.get('etag')).toBe('W/"1"')
  })

  test('answers 404 for a version that never was and 410 for the deletion', async () => {
    const { id } = await created(patient())
    await remove(`Patient/${id}`)
    expectOutcome(await get(`Patient/${id}/_history/9`), 404)
    expectOutcome(await get(`Patient/${id}/_history/2`), 410)
    expect((await get(`Patient/${id}/_history/1`)).status).toBe(200)
  })
})

describe('update', () => {
  test('makes a version and answers 200', async () => {
    const before = await created(patient())
    const answer = await put(`Patient/${before.id}`, { ...before, active: false })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('etag')).toBe('W/"2"')
    expect(resourceIn<Patient>(await get(`Patient/${before.id}`))).toMatchObject({
      active: false,
      meta: { versionId: '2' },
    })
  })

  test('creates what is not there under the id of the client', async () => {
    const id = unique('client-').slice(0, 40)
    const answer = await put(`Patient/${id}`, { ...patient(), id })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('location')).toBe(`${baseUrl()}/Patient/${id}/_history/1`)
  })

  test('brings back what was deleted, with its history', async () => {
    const { id } = await created(patient())
    await remove(`Patient/${id}`)
    expect((await put(`Patient/${id}`, { ...patient(), id })).status).toBe(201)
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).meta?.versionId).toBe('3')
  })

  test('the same content makes no new version', async () => {
    const before = await created(patient())
    const answer = await put(`Patient/${before.id}`, before)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('etag')).toBe('W/"1"')
    expect(entriesOf(await bundle(`Patient/${before.id}/_history`))).toHaveLength(1)
  })

  test('a missing or another id in the resource is 400', async () => {
    const { id } = await created(patient())
    expectOutcome(await put(`Patient/${id}`, patient()), 400)
    expectOutcome(await put(`Patient/${id}`, { ...patient(), id: 'other' }), 400)
  })

  test.each([
    ['W/"1"', 200],
    ['W/"7"', 412],
    ['"nonsense"', 412],
  ])('If-Match %s answers %i', async (etag, status) => {
    const before = await created(patient())
    const answer = await put(`Patient/${before.id}`, { ...before, active: false }, { 'if-match': etag })
    expect(answer.status).toBe(status)
    const { meta } = resourceIn<Patient>(await get(`Patient/${before.id}`))
    expect(meta?.versionId).toBe(status === 200 ? '2' : '1')
  })

  test('of many updates of one version one is accepted', async () => {
    const before = await created(patient())
    const answers = await Promise.all(
      Array.from({ length: 16 }, () =>
        put(`Patient/${before.id}`, { ...before, name: [{ family: unique() }] }, { 'if-match': 'W/"1"' }),
      ),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(15)
  })
})

describe('delete', () => {
  test('answers 200 or 204, also a second time and for what never was', async () => {
    const { id } = await created(patient())
    for (const path of [`Patient/${id}`, `Patient/${id}`, `Patient/${unique()}`])
      expect([200, 204]).toContain((await remove(path)).status)
  })

  test('what is deleted is not found any more', async () => {
    const family = unique('Gone')
    const { id } = await created(patient(family))
    expect(idsIn(await bundle(`Patient?family=${family}`))).toEqual([id])
    await remove(`Patient/${id}`)
    expect(idsIn(await bundle(`Patient?family=${family}`))).toEqual([])
  })

  test('what is referred to stays, and the answer is 409', async () => {
    const { id } = await created(patient())
    const observation = await created({
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: `Patient/${id}` },
    })
    expectOutcome(await remove(`Patient/${id}`), 409, 'conflict')
    await remove(`Observation/${observation.id}`)
    expect([200, 204]).toContain((await remove(`Patient/${id}`)).status)
  })

  test('If-Match guards a delete', async () => {
    const { id } = await created(patient())
    expectOutcome(await remove(`Patient/${id}`, { 'if-match': 'W/"5"' }), 412)
    expect([200, 204]).toContain((await remove(`Patient/${id}`, { 'if-match': 'W/"1"' })).status)
  })
})

describe('history-instance', () => {
  test('has all versions, the newest first, with what was asked and answered', async () => {
    const first = await created(patient())
    await put(`Patient/${first.id}`, { ...first, active: false })
    await remove(`Patient/${first.id}`)
    const history = await bundle(`Patient/${first.id}/_history`)
    expect(history.type).toBe('history')
    expect(history.total).toBe(3)
    const entries = entriesOf(history)
    expect(entries.map(({ request }) => request?.method)).toEqual(['DELETE', 'PUT', 'POST'])
    expect(entries.map(({ response }) => response?.status.slice(0, 3))).toEqual(['204', '200', '201'])
    expect(entries.map(({ response }) => response?.etag)).toEqual(['W/"3"', 'W/"2"', 'W/"1"'])
    expect(entries[0]?.resource).toBeUndefined()
    expect(entries.map(({ fullUrl }) => fullUrl)).toEqual(Array(3).fill(`${baseUrl()}/Patient/${first.id}`))
  })

  test('answers 404 for what never was', async () => {
    expectOutcome(await get(`Patient/${unique()}/_history`), 404)
  })

  test('_count pages through it', async () => {
    const first = await created(patient())
    for (const family of ['B', 'C', 'D', 'E']) await put(`Patient/${first.id}`, { ...patient(family), id: first.id })
    const versions: (string | undefined)[] = []
    let next: string | undefined = `Patient/${first.id}/_history?_count=2`
    while (next !== undefined) {
      const page: Bundle = await bundle(next)
      expect(entriesOf(page).length).toBeLessThanOrEqual(2)
      versions.push(...entriesOf(page).map(({ resource }) => resource?.meta?.versionId))
      next = linkOf(page, 'next')
    }
    expect(versions).toEqual(['5', '4', '3', '2', '1'])
  })

  test('_since and _at select by time', async () => {
    const first = await created(patient())
    const { meta } = resourceIn<Patient>(await put(`Patient/${first.id}`, { ...first, active: false }))
    const since = await bundle(`Patient/${first.id}/_history?_since=${meta?.lastUpdated}`)
    expect(entriesOf(since).map(({ resource }) => resource?.meta?.versionId)).toContain('2')
    expect(entriesOf(await bundle(`Patient/${first.id}/_history?_since=2999-01-01T00:00:00Z`))).toEqual([])
    const at = await bundle(`Patient/${first.id}/_history?_at=${meta?.lastUpdated}`)
    expect(entriesOf(at).map(({ resource }) => resource?.meta?.versionId)).toContain('2')
    expectOutcome(await get(`Patient/${first.id}/_history?_since=lately`), 400)
    expectOutcome(await get(`Patient/${first.id}/_history?_count=-1`), 400)
  })
})

describe('history-type', () => {
  test('has the changes of a type and no other', async () => {
    const { id } = await created({ resourceType: 'Basic', code: { text: unique() } })
    await remove(`Basic/${id}`)
    const history = await bundle('Basic/_history?_count=2')
    expect(entriesOf(history).map(({ request }) => request?.method)).toEqual(['DELETE', 'POST'])
    expect(entriesOf(history).every(({ fullUrl }) => fullUrl?.includes('/Basic/'))).toBe(true)
  })
})

describe('history-system', () => {
  test('has the changes of all types, the newest first', async () => {
    const { id } = await created({ resourceType: 'Basic', code: { text: unique() } })
    const one = await created(patient())
    const history = await bundle('_history?_count=2')
    expect(entriesOf(history).map(({ resource }) => resource?.id)).toEqual([one.id, id])
  })
})
