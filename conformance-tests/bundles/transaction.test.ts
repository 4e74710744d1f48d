/**
 * FHIR transaction interaction: all or nothing, in the order of the specification, with its references made good.
 *
 * https://hl7.org/fhir/R4/http.html#trules
 */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import type { Bundle, BundleEntry, Observation, Patient, Provenance } from 'fhir/r4.js'
import { bundle, created, expectOutcome, get, idsIn, post, resourceIn, unique, uniqueSystem } from '../server.js'

const transaction = (...entry: BundleEntry[]) => post('', { resourceType: 'Bundle', type: 'transaction', entry })

const urn = () => `urn:uuid:${randomUUID()}`

const patient = (family: string): Patient => ({ resourceType: 'Patient', name: [{ family }] })

const observation = (subject: string, more: Partial<Observation> = {}): Observation => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference: subject },
  ...more,
})

const posted = (
  resource: NonNullable<BundleEntry['resource']>,
  fullUrl = urn(),
  more: Partial<BundleEntry['request']> = {},
): BundleEntry => ({
  fullUrl,
  resource,
  request: { method: 'POST', url: resource.resourceType, ...more },
})

/** `Type/id` from the location of an entry of the answer. */
const refOf = ({ response }: BundleEntry) => response!.location!.split('/').slice(-4, -2).join('/')

describe('transaction', () => {
  test('answers a transaction-response whose entries stand in the order of the request', async () => {
    const existing = await created(patient(unique()))
    const gone = await created(patient(unique()))
    const answer = await transaction(
      { request: { method: 'GET', url: `Patient/${existing.id}` } },
      posted(patient('New')),
      { resource: { ...existing, active: true } as Patient, request: { method: 'PUT', url: `Patient/${existing.id}` } },
      { request: { method: 'DELETE', url: `Patient/${gone.id}` } },
    )
    expect(answer.status).toBe(200)
    const { type, entry = [] } = resourceIn<Bundle>(answer)
    expect(type).toBe('transaction-response')
    expect(entry.map(({ response }) => response?.status.slice(0, 3))).toEqual([
      '200',
      '201',
      '200',
      expect.stringMatching(/20[04]/),
    ])
    // "the server processes DELETE, POST, PUT/PATCH, GET in this order": the GET sees the update
    expect((entry[0]!.resource as Patient).active).toBe(true)
    expect(entry[1]?.response).toMatchObject({ location: expect.stringContaining('/_history/1'), etag: 'W/"1"' })
    expect((await get(`Patient/${gone.id}`)).status).toBe(410)
  })

  test('references to entries become references to what they are stored as', async () => {
    const [mother, child] = [urn(), urn()]
    const answer = await transaction(
      posted(observation(child, { performer: [{ reference: mother }], note: [{ text: `see ${child}` }] })),
      posted(patient('Mother'), mother),
      posted(
        {
          ...patient('Child'),
          text: {
            status: 'generated',
            div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="${mother}">m</a></div>`,
          },
        } as Patient,
        child,
      ),
    )
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
    const refs = resourceIn<Bundle>(answer).entry!.map(refOf)
    const stored = resourceIn<Observation>(await get(refs[0]!))
    expect(stored.subject?.reference).toBe(refs[2])
    expect(stored.performer?.[0]?.reference).toBe(refs[1])
    // Only links are replaced, not what happens to look like one.
    expect(stored.note?.[0]?.text).toBe(`see ${child}`)
    expect(resourceIn<Patient>(await get(refs[2]!)).text?.div).toContain(`href="${refs[1]}"`)
  })

  test('entries may refer to each other in a circle', async () => {
    const [one, two] = [urn(), urn()]
    const linked = (other: string): Patient => ({
      resourceType: 'Patient',
      link: [{ type: 'seealso', other: { reference: other } }],
    })
    const answer = await transaction(posted(linked(two), one), posted(linked(one), two))
    expect(answer.status).toBe(200)
    const [first, second] = resourceIn<Bundle>(answer).entry!.map(refOf)
    expect(resourceIn<Patient>(await get(first!)).link?.[0]?.other.reference).toBe(second)
    expect(resourceIn<Patient>(await get(second!)).link?.[0]?.other.reference).toBe(first)
  })

  test('a full URL with the base of a server is an address for the others as well', async () => {
    const answer = await transaction(
      posted(patient('X'), 'http://elsewhere.example/fhir/Patient/1'),
      posted(observation('Patient/1'), 'http://elsewhere.example/fhir/Observation/1'),
    )
    expect(answer.status).toBe(200)
    const [person, seen] = resourceIn<Bundle>(answer).entry!.map(refOf)
    expect(resourceIn<Observation>(await get(seen!)).subject?.reference).toBe(person)
  })

  test('conditional references are searched for; none or several matches fail the whole', async () => {
    const system = uniqueSystem()
    const known = await created<Patient>({ resourceType: 'Patient', identifier: [{ system, value: '1' }] })
    const ask = (value: string) => observation(`Patient?identifier=${encodeURIComponent(`${system}|${value}`)}`)
    const answer = await transaction(posted(ask('1')))
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
    const [seen] = resourceIn<Bundle>(answer).entry!.map(refOf)
    expect(resourceIn<Observation>(await get(seen!)).subject?.reference).toBe(`Patient/${known.id}`)
    expectOutcome(await transaction(posted(ask('2'))), [400, 404, 412, 422])
    await created<Patient>({ resourceType: 'Patient', identifier: [{ system, value: '1' }] })
    expectOutcome(await transaction(posted(ask('1'))), [400, 412, 422])
  })

  test('a conditional create that matches gives its match to the references', async () => {
    const system = uniqueSystem()
    const known = await created<Patient>({ resourceType: 'Patient', identifier: [{ system, value: '1' }] })
    const person = urn()
    const ifNoneExist = `identifier=${encodeURIComponent(`${system}|1`)}`
    const answer = await transaction(
      posted({ resourceType: 'Patient', identifier: [{ system, value: '1' }] } as Patient, person, { ifNoneExist }),
      posted(observation(person)),
    )
    const { entry = [] } = resourceIn<Bundle>(answer)
    expect(entry[0]?.response?.status.slice(0, 3)).toBe('200')
    expect(resourceIn<Observation>(await get(refOf(entry[1]!))).subject?.reference).toBe(`Patient/${known.id}`)
    expect(idsIn(await bundle(`Patient?${ifNoneExist}`))).toEqual([known.id])
  })

  test('conditional update, conditional delete and If-Match work inside', async () => {
    const system = uniqueSystem()
    const criteria = `identifier=${encodeURIComponent(`${system}|1`)}`
    const known = await created<Patient>({ resourceType: 'Patient', identifier: [{ system, value: '1' }] })
    const updated: Patient = { resourceType: 'Patient', identifier: [{ system, value: '1' }], active: true }
    const first = await transaction({ resource: updated, request: { method: 'PUT', url: `Patient?${criteria}` } })
    expect(resourceIn<Bundle>(first).entry?.[0]?.response?.status.slice(0, 3)).toBe('200')
    const stale = {
      resource: { ...updated, id: known.id, active: false },
      request: { method: 'PUT' as const, url: `Patient/${known.id}`, ifMatch: 'W/"1"' },
    }
    expectOutcome(await transaction(stale, posted(patient('Y'))), 412)
    const last = await transaction({ request: { method: 'DELETE', url: `Patient?${criteria}` } })
    expect(last.status).toBe(200)
    expect((await get(`Patient/${known.id}`)).status).toBe(410)
  })

  test('PATCH works inside, as FHIRPath Patch', async () => {
    const known = await created(patient('Z'))
    const resource = {
      resourceType: 'Parameters' as const,
      parameter: [
        {
          name: 'operation',
          part: [
            { name: 'type', valueCode: 'add' },
            { name: 'path', valueString: 'Patient' },
            { name: 'name', valueString: 'active' },
            { name: 'value', valueBoolean: true },
          ],
        },
      ],
    }
    const answer = await transaction({ resource, request: { method: 'PATCH', url: `Patient/${known.id}` } })
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
    expect(resourceIn<Patient>(await get(`Patient/${known.id}`)).active).toBe(true)
  })

  test('searches inside are answered', async () => {
    const family = unique('Found')
    const answer = await transaction(posted(patient(family)), {
      request: { method: 'GET', url: `Patient?family=${family}` },
    })
    const inner = resourceIn<Bundle>(answer).entry?.[1]?.resource as Bundle
    expect(inner.entry).toHaveLength(1)
  })

  test.each<[string, (family: string) => BundleEntry[]]>([
    [
      'an invalid resource',
      (family) => [posted(patient(family)), posted({ resourceType: 'Patient', birthDate: 'x' } as Patient)],
    ],
    ['a reference to nothing', (family) => [posted(patient(family)), posted(observation(`Patient/${unique()}`))]],
    [
      'an update of what another updates',
      (family) => [
        posted(patient(family)),
        { resource: { ...patient(family), id: 'same-one' }, request: { method: 'PUT', url: 'Patient/same-one' } },
        { resource: { ...patient(family), id: 'same-one' }, request: { method: 'PUT', url: 'Patient/same-one' } },
      ],
    ],
    [
      'two equal full URLs',
      (family) => {
        const both = urn()
        return [posted(patient(family), both), posted(patient(family), both)]
      },
    ],
    [
      'a request without a method',
      (family) => [posted(patient(family)), { resource: patient(family), request: { url: 'Patient' } as never }],
    ],
    ['no request', (family) => [posted(patient(family)), { resource: patient(family) }]],
    [
      'an unknown method',
      (family) => [posted(patient(family)), { request: { method: 'TRACE' as never, url: 'Patient' } }],
    ],
    [
      'a url of another type',
      (family) => [
        posted(patient(family)),
        { resource: patient(family), request: { method: 'POST', url: 'Observation' } },
      ],
    ],
    [
      'a read of nothing',
      (family) => [posted(patient(family)), { request: { method: 'GET', url: `Patient/${unique()}` } }],
    ],
    [
      'a url that leaves the server',
      (family) => [posted(patient(family)), { request: { method: 'DELETE', url: '../../../etc/passwd' } }],
    ],
    [
      'an operation that is none',
      (family) => [posted(patient(family)), { request: { method: 'GET', url: 'Patient/$explode' } }],
    ],
  ])('with %s it fails and stores nothing', async (_name, entries) => {
    const family = unique('Nothing')
    const outcome = expectOutcome(await transaction(...entries(family)), [400, 404, 405, 409, 412, 422])
    expect(outcome.issue.length).toBeGreaterThan(0)
    expect(idsIn(await bundle(`Patient?family=${family}`))).toEqual([])
  })

  // "If any resource identities overlap, then the transaction SHALL fail."
  test('an update and a delete of the same fail and change nothing', async () => {
    const { id, ...before } = await created(patient(unique('Same')))
    const answer = await transaction(
      { resource: { ...before, id, active: true } as Patient, request: { method: 'PUT', url: `Patient/${id}` } },
      { request: { method: 'DELETE', url: `Patient/${id}` } },
    )
    expectOutcome(answer, [400, 409, 412, 422])
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).meta?.versionId).toBe('1')
  })

  test('the failure says which entry it was', async () => {
    const { issue } = expectOutcome(
      await transaction(posted(patient('A')), posted({ resourceType: 'Patient', birthDate: 'x' } as Patient)),
      [400, 422],
    )
    expect(JSON.stringify(issue)).toMatch(/entry\[1\]/)
  })

  test('a large one is stored whole, and nobody waits long meanwhile', async () => {
    const { id } = await created(patient('Meanwhile'))
    const person = urn()
    const entries = Array.from({ length: 1500 }, () => posted(observation(person)))
    let worstMs = 0
    let done = false
    const others = (async () => {
      while (!done) {
        const start = performance.now()
        await get(`Patient/${id}`)
        worstMs = Math.max(worstMs, performance.now() - start)
      }
    })()
    const answer = await transaction(posted(patient('Large'), person), ...entries)
    done = true
    await others
    expect(resourceIn<Bundle>(answer).entry).toHaveLength(1501)
    expect(worstMs).toBeLessThan(2000)
  })

  test('what is deleted and what referred to it may go together', async () => {
    const person = await created(patient('Gone'))
    const seen = await created(observation(`Patient/${person.id}`))
    const answer = await transaction(
      { request: { method: 'DELETE', url: `Patient/${person.id}` } },
      { request: { method: 'DELETE', url: `Observation/${seen.id}` } },
    )
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
  })

  test('the same Idempotency-Key stores it once', async () => {
    const family = unique('Once')
    const headers = { 'idempotency-key': unique() }
    const body = { resourceType: 'Bundle', type: 'transaction', entry: [posted(patient(family))] }
    const answers = [await post('', body, headers), await post('', body, headers)]
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(idsIn(await bundle(`Patient?family=${family}`))).toHaveLength(1)
  })

  test('versioned references to entries name the version that was stored', async () => {
    const person = urn()
    const provenance: Provenance = {
      resourceType: 'Provenance',
      target: [{ reference: person }],
      recorded: '2024-01-01T00:00:00Z',
      agent: [{ who: { display: 'x' } }],
    }
    const answer = await transaction(posted(patient('V'), person), posted(provenance))
    const [stored, about] = resourceIn<Bundle>(answer).entry!.map(refOf)
    expect(resourceIn<Provenance>(await get(about!)).target[0]?.reference).toMatch(
      new RegExp(`^${stored}(/_history/1)?$`),
    )
  })
})
