/**
 * Conditional create, update, patch and delete.
 *
 * https://hl7.org/fhir/R4/http.html#ccreate
 */
import { describe, expect, test } from '@jest/globals'
import type { Patient } from 'fhir/r4.js'
import {
  bundle,
  created,
  expectOutcome,
  get,
  idsIn,
  post,
  put,
  remove,
  resourceIn,
  send,
  unique,
  uniqueSystem,
} from '../server.js'

/** A patient with an identifier nobody else has, and how to search for it. */
function given(value = unique()) {
  const system = uniqueSystem()
  const patient: Patient = { resourceType: 'Patient', identifier: [{ system, value }], active: true }
  return { patient, criteria: `identifier=${encodeURIComponent(`${system}|${value}`)}` }
}

describe('conditional create', () => {
  test('no match: creates; one match: 200 and nothing new', async () => {
    const { patient, criteria } = given()
    const first = await post('Patient', patient, { 'if-none-exist': criteria })
    expect(first.status).toBe(201)
    const second = await post('Patient', patient, { 'if-none-exist': criteria })
    expect(second.status).toBe(200)
    expect(second.headers.get('location')).toContain(resourceIn<Patient>(first).id)
    expect(idsIn(await bundle(`Patient?${criteria}`))).toHaveLength(1)
  })

  test('several matches: 412', async () => {
    const { patient, criteria } = given()
    await created(patient)
    await created(patient)
    expectOutcome(await post('Patient', patient, { 'if-none-exist': criteria }), 412, 'multiple-matches')
  })

  test('64 at the same time make one resource', async () => {
    const { patient, criteria } = given()
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => post('Patient', patient, { 'if-none-exist': criteria })),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(63)
    expect(idsIn(await bundle(`Patient?${criteria}`))).toHaveLength(1)
  })

  test('criteria that are not understood are refused even when lenient', async () => {
    const { patient } = given()
    const headers = { 'if-none-exist': 'identifire=1', prefer: 'handling=lenient' }
    expectOutcome(await post('Patient', patient, headers), 400)
  })
})

describe('conditional update', () => {
  test('no match and no id: creates under a new id', async () => {
    const { patient, criteria } = given()
    expect((await put(`Patient?${criteria}`, patient)).status).toBe(201)
    expect(idsIn(await bundle(`Patient?${criteria}`))).toHaveLength(1)
  })

  test('no match and an id that is free: creates under that id', async () => {
    const { patient, criteria } = given()
    const id = unique('own').slice(0, 40)
    expect((await put(`Patient?${criteria}`, { ...patient, id })).status).toBe(201)
    expect((await get(`Patient/${id}`)).status).toBe(200)
  })

  test('one match: updates that one; another id in the resource is 400', async () => {
    const { patient, criteria } = given()
    const { id } = await created(patient)
    const answer = await put(`Patient?${criteria}`, { ...patient, active: false })
    expect(answer.status).toBe(200)
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).active).toBe(false)
    expectOutcome(await put(`Patient?${criteria}`, { ...patient, id: 'another' }), 400)
  })

  test('several matches: 412', async () => {
    const { patient, criteria } = given()
    await created(patient)
    await created(patient)
    expectOutcome(await put(`Patient?${criteria}`, patient), 412, 'multiple-matches')
  })

  test('If-None-Match * updates nothing that is there', async () => {
    const { patient, criteria } = given()
    const { id } = await created(patient)
    expectOutcome(await put(`Patient/${id}`, { ...patient, id, active: false }, { 'if-none-match': '*' }), 412)
    expect(resourceIn<Patient>((await get(`Patient?${criteria}`)) && (await get(`Patient/${id}`))).active).toBe(true)
  })
})

describe('conditional patch', () => {
  const deactivate = [{ op: 'replace', path: '/active', value: false }]
  const patch = (criteria: string) =>
    send('PATCH', `Patient?${criteria}`, {
      body: deactivate,
      headers: { 'content-type': 'application/json-patch+json' },
    })

  test('no match: 404; one match: patched; several: 412', async () => {
    const { patient, criteria } = given()
    expectOutcome(await patch(criteria), 404)
    const { id } = await created(patient)
    expect((await patch(criteria)).status).toBe(200)
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).active).toBe(false)
    await created(patient)
    expectOutcome(await patch(criteria), 412)
  })
})

describe('conditional delete', () => {
  test('no match: success; one match: deleted', async () => {
    const { patient, criteria } = given()
    expect([200, 204]).toContain((await remove(`Patient?${criteria}`)).status)
    const { id } = await created(patient)
    expect([200, 204]).toContain((await remove(`Patient?${criteria}`)).status)
    expectOutcome(await get(`Patient/${id}`), 410)
  })

  test('several matches: all of them, or 412 where the server removes one at a time', async () => {
    const { patient, criteria } = given()
    await created(patient)
    await created(patient)
    const { status } = await remove(`Patient?${criteria}`)
    expect([200, 204, 412]).toContain(status)
    expect(idsIn(await bundle(`Patient?${criteria}`))).toHaveLength(status === 412 ? 2 : 0)
  })

  test('without criteria nothing is deleted', async () => {
    const { patient, criteria } = given()
    await created(patient)
    for (const query of ['', '?', '?_count=1']) expectOutcome(await remove(`Patient${query}`), [400, 405, 412])
    expect(idsIn(await bundle(`Patient?${criteria}`))).toHaveLength(1)
  })
})
