/**
 * What a write may leave behind, and what its refusal gives away: nothing.
 *
 * https://hl7.org/fhir/R4/http.html#update
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { TestServer } from '../../src/testing.js'
import { custodianUrl, of, send, startAccessServer, type Who } from './callers.js'

let server: TestServer

const a = { organizations: ['a'], hospitals: ['a'], custodian: 'a' }
const doctor: Who = { role: 'doctor', user: { type: 'Practitioner', id: 'doctor' }, scope: 'user/*.cruds', ...a }
const nurse: Who = { role: 'nurse', user: { type: 'Practitioner', id: 'nurse' }, scope: 'user/*.cruds', ...a }
const clerk: Who = { role: 'receptionist', user: { type: 'Practitioner', id: 'clerk' }, scope: 'user/*.cruds', ...a }
const manager: Who = {
  role: 'hospital-administrator',
  user: { type: 'Practitioner', id: 'manager' },
  scope: 'user/*.cruds',
  ...a,
}
const ehr: Who = { role: 'backend', kind: 'system', client: 'ehr', scope: 'system/*.cruds', ...a }
const patient: Who = {
  role: 'patient',
  user: { type: 'Patient', id: 'mine' },
  scope: 'patient/*.cruds',
  patient: 'mine',
  ...a,
}

const observation = (subject: string, more: object = {}) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference: `Patient/${subject}` },
  ...more,
})
const encounter = (subject: string, practitioner = 'doctor') => ({
  resourceType: 'Encounter',
  status: 'in-progress',
  class: { code: 'AMB' },
  subject: { reference: `Patient/${subject}` },
  participant: [{ individual: { reference: `Practitioner/${practitioner}` } }],
})
const team = (subject: string, members: string[], more: object = {}) => ({
  resourceType: 'CareTeam',
  status: 'active',
  subject: { reference: `Patient/${subject}` },
  participant: members.map((id) => ({ member: { reference: `Practitioner/${id}` } })),
  ...more,
})

const as = (who: Who | undefined) => ({
  get: (path: string, headers = {}) => send(server, who, 'GET', path, { headers }),
  post: (path: string, body: unknown, headers = {}) => send(server, who, 'POST', path, { body, headers }),
  put: (path: string, body: unknown, headers = {}) => send(server, who, 'PUT', path, { body, headers }),
  patch: (path: string, body: unknown, headers = {}) =>
    send(server, who, 'PATCH', path, { body, headers: { 'content-type': 'application/json-patch+json', ...headers } }),
  remove: (path: string, headers = {}) => send(server, who, 'DELETE', path, { headers }),
})

const given = async (resource: { resourceType: string; id: string }, hospital: string | undefined = 'a') => {
  const answer = await as(undefined).put(`${resource.resourceType}/${resource.id}`, of(hospital, resource))
  if (answer.status >= 300) throw new Error(answer.text)
}

beforeAll(async () => {
  server = await startAccessServer()
  for (const id of ['a', 'b']) await given({ resourceType: 'Organization', id, name: id } as never, id)
  for (const id of ['doctor', 'nurse', 'clerk', 'manager']) await given({ resourceType: 'Practitioner', id })
  for (const id of ['mine', 'theirs']) await given({ resourceType: 'Patient', id })
  await given({ resourceType: 'Patient', id: 'far' }, 'b')
  await given({ ...team('mine', ['doctor', 'nurse']), id: 'team' })
  await given({ ...observation('theirs'), id: 'theirs' })
  await given({ ...observation('far'), id: 'far' }, 'b')
})
afterAll(() => server.close())

const custodianIn = (text: string) =>
  (JSON.parse(text).meta.extension ?? []).filter((each: { url: string }) => each.url === custodianUrl)

describe('the custodian', () => {
  const reference = (id: string) => [{ url: custodianUrl, valueReference: { reference: `Organization/${id}` } }]

  test('is the hospital of whoever creates, whatever the resource says', async () => {
    const { status, text } = await as(doctor).post('Observation', of('b', observation('mine')))
    expect(status).toBe(201)
    expect(custodianIn(text)).toEqual(reference('a'))
  })

  test('stays when the resource is updated, patched or labelled', async () => {
    const { text } = await as(ehr).post('Observation', observation('mine', { meta: { tag: [{ code: 'x' }] } }))
    const { id } = JSON.parse(text)
    const updated = await as(ehr).put(`Observation/${id}`, of('b', { ...observation('mine'), id, status: 'amended' }))
    expect(custodianIn(updated.text)).toEqual(reference('a'))
    const patched = await as(ehr).patch(`Observation/${id}`, [{ op: 'remove', path: '/meta' }])
    expect(custodianIn(patched.text)).toEqual(reference('a'))
    const moved = await as(ehr).patch(`Observation/${id}`, [
      { op: 'replace', path: '/meta/extension/0/valueReference/reference', value: 'Organization/b' },
    ])
    expect(custodianIn(moved.text)).toEqual(reference('a'))
    const parameters = {
      resourceType: 'Parameters',
      parameter: [{ name: 'meta', valueMeta: { tag: [{ code: 'y' }], extension: reference('b') } }],
    }
    expect((await as(ehr).post(`Observation/${id}/$meta-add`, parameters)).status).toBe(200)
    expect(custodianIn((await as(ehr).get(`Observation/${id}`)).text)).toEqual(reference('a'))
  })

  test('is given in a transaction too', async () => {
    const bundle = {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [{ resource: of('b', observation('mine')), request: { method: 'POST', url: 'Observation' } }],
    }
    const { status, text } = await as(doctor).post('', bundle, { prefer: 'return=representation' })
    expect(status).toBe(200)
    expect(custodianIn(JSON.stringify(JSON.parse(text).entry[0].resource))).toEqual(reference('a'))
  })

  test('is no search parameter of anybody', async () => {
    for (const name of ['custodian', ':custodian', '_custodian', ':custodian:not'])
      expect((await as(doctor).get(`Observation?${encodeURIComponent(name)}=a`)).status).toBe(400)
  })
})

describe('what is hidden is answered like what is not there', () => {
  test.each([
    ['read', (id: string) => as(doctor).get(`Observation/${id}`)],
    ['vread', (id: string) => as(doctor).get(`Observation/${id}/_history/1`)],
    ['history', (id: string) => as(doctor).get(`Observation/${id}/_history`)],
    ['update', (id: string) => as(doctor).put(`Observation/${id}`, { ...observation('mine'), id })],
    [
      'update of a version',
      (id: string) => as(doctor).put(`Observation/${id}`, { ...observation('mine'), id }, { 'if-match': 'W/"1"' }),
    ],
    [
      'update if there is none',
      (id: string) => as(doctor).put(`Observation/${id}`, { ...observation('mine'), id }, { 'if-none-match': '*' }),
    ],
    ['update as the EHR', (id: string) => as(ehr).put(`Patient/${id}`, { resourceType: 'Patient', id })],
    [
      'conditional update with that id',
      (id: string) => as(ehr).put('Patient?identifier=none', { resourceType: 'Patient', id }),
    ],
    ['patch', (id: string) => as(doctor).patch(`Observation/${id}`, [{ op: 'remove', path: '/status' }])],
    ['delete', (id: string) => as(ehr).remove(`Observation/${id}`)],
    ['delete of a version', (id: string) => as(ehr).remove(`Observation/${id}`, { 'if-match': 'W/"1"' })],
    ['a reference', (id: string) => as(ehr).post('Observation', observation(id))],
    [
      'a reference in a transaction',
      (id: string) =>
        as(ehr).post('', {
          resourceType: 'Bundle',
          type: 'transaction',
          entry: [{ resource: observation(id), request: { method: 'POST', url: 'Observation' } }],
        }),
    ],
    [
      'update in a transaction',
      (id: string) =>
        as(ehr).post('', {
          resourceType: 'Bundle',
          type: 'transaction',
          entry: [{ resource: { resourceType: 'Patient', id }, request: { method: 'PUT', url: `Patient/${id}` } }],
        }),
    ],
    ['an encounter with a patient of another hospital', (id: string) => as(doctor).post('Encounter', encounter(id))],
    ['search', (id: string) => as(doctor).get(`Observation?_id=${id}`)],
    ['$everything', (id: string) => as(doctor).get(`Patient/${id}/$everything`)],
    ['a compartment', (id: string) => as(ehr).get(`Patient/${id}/Observation`)],
  ])('%s', async (_name, ask) => {
    const hidden = await ask('far')
    const absent = await ask('nil')
    expect(hidden.status).toBe(absent.status)
    expect(plain(hidden.text, 'far')).toBe(plain(absent.text, 'nil'))
  })
})

/** What may differ: the id that was asked for, and the time. */
const plain = (text: string, id: string): string =>
  text
    .replaceAll(id, 'ID')
    .replace(/"lastUpdated":"[^"]*"/g, '')
    .replace(/"id":"[0-9a-f-]{36}"/g, '')

describe('writes', () => {
  test('a doctor begins to treat a patient of the hospital with an encounter, and sees the record from then on', async () => {
    await given({ resourceType: 'Patient', id: 'new' })
    await given({ ...observation('new'), id: 'new' })
    expect((await as(doctor).get('Observation/new')).status).toBe(404)
    const begun = await as(doctor).post('Encounter', encounter('new'))
    expect(begun.status).toBe(201)
    expect((await as(doctor).get('Observation/new')).status).toBe(200)
    expect((await as(doctor).get('Patient/new')).status).toBe(200)
    // And who ends it does not see it for ever: the treatment relation is looked up with every request.
    await as(undefined).put(`Encounter/${JSON.parse(begun.text).id}`, {
      ...of('a', encounter('new')),
      id: JSON.parse(begun.text).id,
      status: 'cancelled',
    })
    expect((await as(doctor).get('Observation/new')).status).toBe(404)
  })

  test('an encounter and what was found in it come in one transaction', async () => {
    await given({ resourceType: 'Patient', id: 'walk-in' })
    const bundle = {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [
        {
          fullUrl: 'urn:uuid:7c2ad0c5-f0a1-4c71-a7cc-4e1ce8d9ba11',
          resource: encounter('walk-in'),
          request: { method: 'POST', url: 'Encounter' },
        },
        {
          resource: observation('walk-in', {
            encounter: { reference: 'urn:uuid:7c2ad0c5-f0a1-4c71-a7cc-4e1ce8d9ba11' },
          }),
          request: { method: 'POST', url: 'Observation' },
        },
      ],
    }
    const { status, text } = await as(doctor).post('', bundle)
    expect([status, text]).toEqual([200, expect.any(String)])
  })

  test('nobody joins a care team to see more', async () => {
    expect((await as(nurse).post('CareTeam', team('theirs', ['nurse']))).status).toBe(403)
    expect((await as(doctor).post('CareTeam', team('theirs', ['doctor']))).status).toBe(422)
    expect((await as(clerk).post('CareTeam', team('theirs', ['clerk']))).status).toBe(403)
    const mine = await as(doctor).put('CareTeam/team', { ...team('theirs', ['doctor']), id: 'team' })
    expect(mine.status).toBe(422)
  })

  test('a resource stays with its patient', async () => {
    await given({ resourceType: 'Patient', id: 'second' })
    await given({ ...team('second', ['doctor']), id: 'second' })
    await given({ ...observation('mine'), id: 'moving' })
    const moved = await as(doctor).put('Observation/moving', { ...observation('second'), id: 'moving' })
    expect(moved.status).toBe(403)
    const patched = await as(doctor).patch('Observation/moving', [
      { op: 'replace', path: '/subject/reference', value: 'Patient/second' },
    ])
    expect(patched.status).toBe(403)
    expect((await as(ehr).put('Observation/moving', { ...observation('second'), id: 'moving' })).status).toBe(403)
  })

  test('a nurse writes vital signs, and nothing else becomes one by her hand', async () => {
    const vital = {
      category: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] },
      ],
    }
    expect((await as(nurse).post('Observation', observation('mine', vital))).status).toBe(201)
    expect((await as(nurse).post('Observation', observation('mine'))).status).toBe(403)
    await given({ ...observation('mine'), id: 'lab' })
    expect((await as(nurse).get('Observation/lab')).status).toBe(200)
    expect((await as(nurse).put('Observation/lab', { ...observation('mine', vital), id: 'lab' })).status).toBe(403)
  })

  test('a patient changes where they live, and not when they were born', async () => {
    const own = { resourceType: 'Patient', id: 'mine' }
    expect((await as(patient).put('Patient/mine', { ...own, address: [{ city: 'Kisumu' }] })).status).toBe(200)
    expect((await as(patient).put('Patient/mine', { ...own, birthDate: '2010-01-01' })).status).toBe(403)
    expect((await as(patient).patch('Patient/mine', [{ op: 'add', path: '/active', value: false }])).status).toBe(403)
    await as(undefined).put('Patient/mine', of('a', own))
  })

  test('a patient asks for an appointment, and does not book it', async () => {
    const appointment = (status: string, who = 'mine') => ({
      resourceType: 'Appointment',
      status,
      participant: [{ actor: { reference: `Patient/${who}` }, status: 'accepted' }],
    })
    expect((await as(patient).post('Appointment', appointment('proposed'))).status).toBe(201)
    expect((await as(patient).post('Appointment', appointment('booked'))).status).toBe(403)
    expect((await as(patient).post('Appointment', appointment('proposed', 'theirs'))).status).toBe(422)
    await given({ ...appointment('booked'), id: 'booked' })
    const booked = { ...appointment('booked'), id: 'booked' }
    expect((await as(patient).put('Appointment/booked', { ...booked, comment: 'late' })).status).toBe(403)
    expect((await as(patient).put('Appointment/booked', { ...booked, status: 'cancelled' })).status).toBe(200)
  })

  test('a hospital is not moved into another, nor another into it', async () => {
    const own = { resourceType: 'Organization', id: 'a', name: 'a' }
    const into = (id: string) => ({ partOf: { reference: `Organization/${id}` } })
    expect((await as(manager).put('Organization/a', { ...own, alias: ['A'] })).status).toBe(200)
    expect((await as(manager).put('Organization/a', { ...own, ...into('b') })).status).toBe(403)
    const { id: _, ...ward } = own
    expect((await as(manager).post('Organization', { ...ward, ...into('a') })).status).toBe(201)
    expect((await as(manager).post('Organization', { ...ward, ...into('b') })).status).toBe(403)
    expect((await as(manager).post('Organization', ward)).status).toBe(403)
    const post = (id: string) => ({
      resourceType: 'PractitionerRole',
      organization: { reference: `Organization/${id}` },
    })
    expect((await as(manager).post('PractitionerRole', post('a'))).status).toBe(201)
    expect((await as(manager).post('PractitionerRole', post('b'))).status).toBe(403)
  })

  test('a delete that others stand in the way of does not say who', async () => {
    await given({ ...observation('mine'), id: 'kept' })
    await given({ ...observation('mine', { hasMember: [{ reference: 'Observation/kept' }] }), id: 'keeper' }, 'b')
    const { status, text } = await as(ehr).remove('Observation/kept')
    expect(status).toBe(409)
    expect(text).not.toContain('keeper')
  })

  test('references that were there stay, also to what is hidden', async () => {
    await given({ ...observation('mine', { encounter: { reference: 'Encounter/hidden' } }), id: 'old' } as never).catch(
      () => {},
    )
    await given({ ...encounter('mine', 'doctor'), id: 'hidden' }, 'b')
    await given({ ...observation('mine', { encounter: { reference: 'Encounter/hidden' } }), id: 'old' })
    const changed = {
      ...observation('mine', { encounter: { reference: 'Encounter/hidden' } }),
      id: 'old',
      status: 'amended',
    }
    expect((await as(doctor).put('Observation/old', changed)).status).toBe(200)
    const { id: _, ...another } = changed
    expect((await as(doctor).post('Observation', another)).status).toBe(422)
  })

  test('criteria find what the caller finds: a conditional create makes another one', async () => {
    await given({ ...observation('far', { identifier: [{ value: 'same' }] }), id: 'far-same' }, 'b')
    const once = await as(ehr).post('Observation', observation('mine', { identifier: [{ value: 'same' }] }), {
      'if-none-exist': 'identifier=same',
    })
    expect(once.status).toBe(201)
    const twice = await as(ehr).post('Observation', observation('mine', { identifier: [{ value: 'same' }] }), {
      'if-none-exist': 'identifier=same',
    })
    expect(twice.status).toBe(200)
    expect((await as(ehr).remove('Observation?identifier=same')).status).toBe(204)
    expect((await as(undefined).get('Observation/far-same')).status).toBe(200)
  })

  test('criteria delete no more than the caller may delete', async () => {
    const [here, there] = ['here', 'there'].map((id) => ({
      resourceType: 'Practitioner',
      id: `leaving-${id}`,
      identifier: [{ value: 'leaving' }],
    }))
    await given(here!)
    await given(there!, 'b')
    const fresh = { ...manager, signedIn: { at: Date.now(), methods: ['pwd', 'mfa'] } }
    const entry = [{ request: { method: 'DELETE', url: 'Practitioner?identifier=leaving' } }]
    for (const type of ['batch', 'transaction'])
      expect((await as(fresh).post('', { resourceType: 'Bundle', type, entry })).text).toContain(
        'you may not delete every Practitioner',
      )
    expect((await as(undefined).get('Practitioner/leaving-there')).status).toBe(200)
    const onlyHere = 'Practitioner?identifier=leaving&_id=leaving-here'
    expect((await as(fresh).remove(onlyHere)).status).toBe(204)
    expect((await as(undefined).get('Practitioner/leaving-here')).status).toBe(410)
    expect((await as(doctor).remove('Observation?code:text=x')).status).toBe(403)
  })

  test('how the store finds things is not told', async () =>
    expect((await as(doctor).get('Observation?_explain=true')).status).toBe(403))
})
