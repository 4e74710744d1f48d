/**
 * Every interaction leaves its event, also one that was refused.
 *
 * https://profiles.ihe.net/ITI/BALP/volume-1.html
 */
import { describe, expect, test } from '@jest/globals'
import type { AuditEvent, Bundle } from 'fhir/r4.js'
import { anObservation, aPatient, created, eventsOf, get, lineOf, post, put, send } from './audited.js'

const linesOf = async (answer: { request: string }) => (await eventsOf(answer)).map(lineOf)

describe('what is done is recorded', () => {
  test('create', async () => {
    const answer = await post('Patient', { resourceType: 'Patient' })
    const { id } = answer.body as { id: string }
    expect(await linesOf(answer)).toEqual([`C create 0 Patient/${id}/_history/1 Patient/${id}`])
  })

  test('read, with the patient the data is about', async () => {
    const { id } = await aPatient()
    const observation = await anObservation(id)
    const answer = await get(`Observation/${observation.id}`)
    expect(await linesOf(answer)).toEqual([`R read 0 Observation/${observation.id}/_history/1 Patient/${id}`])
  })

  test('vread', async () => {
    const { id } = await aPatient()
    expect(await linesOf(await get(`Patient/${id}/_history/1`))).toEqual([
      `R vread 0 Patient/${id}/_history/1 Patient/${id}`,
    ])
  })

  test('update, and an update that changes nothing', async () => {
    const { id } = await aPatient()
    const resource = { resourceType: 'Patient', id, gender: 'female' }
    const lines = [`U update 0 Patient/${id}/_history/2 Patient/${id}`]
    expect(await linesOf(await put(`Patient/${id}`, resource))).toEqual(lines)
    expect(await linesOf(await put(`Patient/${id}`, resource))).toEqual(lines)
  })

  test('patch', async () => {
    const { id } = await aPatient()
    const patch = [{ op: 'add', path: '/gender', value: 'female' }]
    const answer = await send('PATCH', `Patient/${id}`, patch, { 'content-type': 'application/json-patch+json' })
    expect(await linesOf(answer)).toEqual([`U patch 0 Patient/${id}/_history/2 Patient/${id}`])
  })

  test('delete, with the patient of what is gone, and of what was never there', async () => {
    const { id } = await aPatient()
    const observation = await anObservation(id)
    expect(await linesOf(await send('DELETE', `Observation/${observation.id}`))).toEqual([
      `D delete 0 Observation/${observation.id} Patient/${id}`,
    ])
    expect(await linesOf(await send('DELETE', 'Observation/never-there'))).toEqual([
      'D delete 0 Observation/never-there',
    ])
  })

  test('conditional create, update and delete', async () => {
    const { id } = await aPatient({ identifier: [{ system: 'urn:test', value: `cond-${Date.now()}` }] })
    const { identifier } = (await get(`Patient/${id}`)).body as { identifier: { value: string }[] }
    const criteria = `identifier=urn:test|${identifier[0]!.value}`
    const resource = { resourceType: 'Patient', identifier, gender: 'male' }
    const again = await post('Patient', resource, { 'if-none-exist': criteria })
    expect([again.status, await linesOf(again)]).toEqual([200, [`C create 0 Patient/${id}/_history/1 Patient/${id}`]])
    const updated = await put(`Patient?${criteria}`, resource)
    expect(await linesOf(updated)).toEqual([`U update 0 Patient/${id}/_history/2 Patient/${id}`])
    expect(await linesOf(await send('DELETE', `Patient?${criteria}`))).toEqual([
      `D delete 0 Patient/${id} Patient/${id}`,
    ])
    expect(await linesOf(await send('DELETE', `Patient?${criteria}`))).toHaveLength(1)
  })

  test('a search has one event for each patient it finds, each with the query', async () => {
    const family = `Search${Date.now()}`
    const [one, two] = [await aPatient({ name: [{ family }] }), await aPatient({ name: [{ family }] })]
    const answer = await get(`Patient?family=${family}`)
    const events = await eventsOf(answer)
    expect(events.map(lineOf).sort()).toEqual(
      [`E search-type 0 Patient/${one.id}`, `E search-type 0 Patient/${two.id}`].sort(),
    )
    for (const event of events) expect(queryIn(event)).toBe(`Patient?family=${family}`)
  })

  test('a search that finds nothing has one; one for a patient names the patient', async () => {
    expect(await linesOf(await get('Patient?family=Nobodyhasthisname'))).toEqual(['E search-type 0'])
    expect(await linesOf(await get('Observation?patient=nobody'))).toEqual(['E search-type 0 Patient/nobody'])
  })

  test('a search by POST, of a compartment, of the system, and its next page', async () => {
    const { id } = await aPatient()
    for (const value of [1, 2]) await anObservation(id, { valueInteger: value })
    const form = await send('POST', 'Observation/_search', `patient=${id}`, {
      'content-type': 'application/x-www-form-urlencoded',
    })
    expect((await eventsOf(form)).map(queryIn)).toEqual([`Observation?patient=${id}`])
    expect((await eventsOf(await get(`Patient/${id}/Observation`))).map(lineOf)).toEqual([
      `E search-type 0 Patient/${id}`,
    ])
    expect(await linesOf(await get(`?_type=Patient&_id=${id}`))).toEqual([`E search-system 0 Patient/${id}`])
    const first = await get(`Observation?patient=${id}&_count=1`)
    const next = (first.body as Bundle).link?.find(({ relation }) => relation === 'next')?.url
    const page = await get(`Observation${new URL(next!).search}`)
    expect((await eventsOf(page)).map(queryIn)).toEqual([`Observation?_count=1&patient=${id}`])
  })

  test('what is included is touched too', async () => {
    const { id } = await aPatient()
    await anObservation(id)
    const organization = await created({ resourceType: 'Organization', name: 'x' })
    await created({ resourceType: 'Patient', managingOrganization: { reference: `Organization/${organization.id}` } })
    const answer = await get(`Organization?_id=${organization.id}&_revinclude=Patient:organization`)
    expect(await linesOf(answer)).toEqual([expect.stringMatching(/^E search-type 0 Patient\//)])
  })

  test('histories', async () => {
    const { id } = await aPatient()
    expect(await linesOf(await get(`Patient/${id}/_history`))).toEqual([
      `R history-instance 0 Patient/${id} Patient/${id}`,
    ])
    const ofType = await eventsOf(await get('Patient/_history?_count=1'))
    expect(ofType.map(({ subtype }) => subtype?.[0]?.code)).toEqual(['history-type'])
    expect((await eventsOf(await get('_history?_count=1'))).map(({ subtype }) => subtype?.[0]?.code)).toEqual([
      'history-system',
    ])
  })

  test('operations', async () => {
    const { id } = await aPatient()
    await anObservation(id)
    const everything = await linesOf(await get(`Patient/${id}/$everything`))
    expect(everything).toContain(`E operation 0 Patient/${id} Patient/${id}`)
    const paged = await linesOf(await get(`Patient/${id}/$everything?_count=1`))
    expect(paged).toContain(`E operation 0 Patient/${id} Patient/${id}`)
    const lastn = await get(`Observation/$lastn?patient=${id}&code:text=viral`)
    expect([lastn.status, await linesOf(lastn)]).toEqual([200, [`E operation 0 Patient/${id}`]])
    expect(await linesOf(await get(`Patient/${id}/$meta`))).toEqual([`R read 0 Patient/${id}/_history/1 Patient/${id}`])
    expect((await linesOf(await get('Patient/$meta'))).map((line) => line.slice(0, 13))).toEqual(['E operation 0'])
  })

  test('each entry of a batch, and each change of a transaction', async () => {
    const { id } = await aPatient()
    const entry = [
      { request: { method: 'GET', url: `Patient/${id}` } },
      { request: { method: 'POST', url: 'Basic' }, resource: { resourceType: 'Basic', code: { text: 'x' } } },
      { request: { method: 'GET', url: 'Patient/never-there' } },
      { request: { method: 'NONSENSE', url: `Patient/${id}` } },
    ]
    const batch = await linesOf(await post('', { resourceType: 'Bundle', type: 'batch', entry }))
    expect(batch).toHaveLength(4)
    expect(batch).toEqual(
      expect.arrayContaining([
        `R read 0 Patient/${id}/_history/1 Patient/${id}`,
        'R read 4 Patient/never-there',
        `E batch 4 Patient/${id}`,
      ]),
    )
    const transaction = await post('', {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [
        { request: { method: 'PUT', url: `Patient/${id}` }, resource: { resourceType: 'Patient', id } },
        {
          request: { method: 'POST', url: 'Observation' },
          resource: {
            resourceType: 'Observation',
            status: 'final',
            code: { text: 'x' },
            subject: { reference: `Patient/${id}` },
          },
        },
        { request: { method: 'DELETE', url: 'Basic/never-there' } },
        { request: { method: 'GET', url: `Patient/${id}/_history/1` } },
      ],
    })
    const lines = await linesOf(transaction)
    expect(lines).toEqual(
      expect.arrayContaining([
        `U update 0 Patient/${id}/_history/2 Patient/${id}`,
        expect.stringMatching(new RegExp(`^C create 0 Observation/\\S+/_history/1 Patient/${id}$`)),
        'D delete 0 Basic/never-there',
        `R vread 0 Patient/${id}/_history/1 Patient/${id}`,
      ]),
    )
  })

  test('definitions are nobodys data: reading them leaves nothing, writing them does', async () => {
    const set = await post('ValueSet', { resourceType: 'ValueSet', status: 'draft', url: 'urn:test:set' })
    const { id } = set.body as { id: string }
    expect(await linesOf(set)).toEqual([`C create 0 ValueSet/${id}/_history/1`])
    expect(await linesOf(await get(`ValueSet/${id}`))).toEqual([])
    expect(await linesOf(await get('ValueSet?url=urn:test:set'))).toEqual([])
    expect(await linesOf(await get('metadata'))).toEqual([])
  })

  test('the labels of what was seen stand in the event', async () => {
    const security = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }]
    const { id } = await aPatient({ meta: { security } })
    const [event] = await eventsOf(await get(`Patient/${id}`))
    expect(event?.entity?.[0]?.securityLabel).toEqual(security)
  })
})

const queryIn = ({ entity = [] }: AuditEvent): string | undefined => {
  const query = entity.find(({ role }) => role?.code === '24')?.query
  return query === undefined ? undefined : Buffer.from(query, 'base64').toString()
}

describe('what is refused is recorded', () => {
  test.each([
    ['GET', 'Patient/never-there', undefined, 'R read 4 Patient/never-there', '404 not-found'],
    ['GET', 'Patient/never-there/_history/3', undefined, 'R vread 4 Patient/never-there', '404 not-found'],
    ['GET', 'Patient/never-there/_history', undefined, 'R history-instance 4 Patient/never-there', '404 not-found'],
    ['GET', 'Patient?nonsense=1', undefined, 'E search-type 4', '400 not-supported'],
    ['GET', 'Patient/never-there/$everything', undefined, 'R read 4 Patient/never-there', '404 not-found'],
    ['POST', 'Patient', { resourceType: 'Patient', nonsense: 1 }, 'C create 4', '400 structure'],
    ['POST', 'Patient', '{', 'C create 4', '400 structure'],
    ['POST', 'Patient', { resourceType: 'Observation' }, 'C create 4', '400 invalid'],
    ['PUT', 'Patient/x', { resourceType: 'Patient', id: 'y' }, 'U update 4 Patient/x', '400 invalid'],
    ['POST', '', { resourceType: 'Bundle', type: 'transaction', entry: [{}] }, 'E transaction 4', '400 invalid'],
  ])('%s %s', async (method, path, body, line, why) => {
    const answer = await send(method, path, body)
    const events = await eventsOf(answer)
    expect(events.map(lineOf)).toEqual([line])
    expect(events[0]!.outcomeDesc).toBe(why)
  })

  test('a stale If-Match, and a reference to nothing', async () => {
    const { id } = await aPatient()
    const stale = await put(`Patient/${id}`, { resourceType: 'Patient', id }, { 'if-match': 'W/"7"' })
    expect([stale.status, await linesOf(stale)]).toEqual([412, [`U update 4 Patient/${id}`]])
    const dangling = await post('Observation', {
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: 'Patient/never-there' },
    })
    expect([dangling.status, await linesOf(dangling)]).toEqual([422, ['C create 4']])
  })

  test('a deleted resource', async () => {
    const { id } = await created({ resourceType: 'Basic', code: { text: 'x' } })
    await send('DELETE', `Basic/${id}`)
    const gone = await get(`Basic/${id}`)
    expect([gone.status, await linesOf(gone)]).toEqual([410, [`R read 4 Basic/${id}`]])
  })
})

describe('nothing secret is recorded', () => {
  test.each([
    'access_token=SECRETSECRETSECRET',
    'client_assertion=SECRETSECRETSECRET',
    'code=SECRETSECRETSECRET',
    'password=SECRETSECRETSECRET',
    'SECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRET',
    'identifier=eyJhbGciOiJSUzI1NiJ9.SECRETSECRETSECRET.SECRETSECRETSECRET',
  ])('GET Patient?%s', async (query) => {
    const answer = await get(`Patient?${query}`)
    const events = await eventsOf(answer)
    expect(events).toHaveLength(1)
    expect(JSON.stringify(events)).not.toContain('SECRET')
    expect(queryIn(events[0]!)).not.toContain('SECRET')
  })
})

describe('X-Request-Id', () => {
  test('comes back, also where the client sent none', async () => {
    const answer = await send('GET', 'metadata', undefined, { 'x-request-id': 'mine-1' })
    expect(answer.headers.get('x-request-id')).toBe('mine-1')
    const { theServer } = await import('./audited.js')
    const without = await fetch(`${theServer().fhir}/metadata`)
    expect(without.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })
})

test('an answer about many patients has an event for each, and none tells of the others', async () => {
  const entry = Array.from({ length: 130 }, () => ({
    request: { method: 'POST', url: 'Patient' },
    resource: { resourceType: 'Patient', name: [{ family: 'Crowd' }] },
  }))
  await post('', { resourceType: 'Bundle', type: 'transaction', entry })
  const events = await eventsOf(await get('Patient?family=Crowd&_count=130'))
  const counts = events.map(({ entity = [] }) => entity.filter(({ role }) => role?.code === '1').length)
  expect(counts).toEqual(new Array(130).fill(1))
})
