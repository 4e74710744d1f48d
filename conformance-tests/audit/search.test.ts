/**
 * AuditEvent as a resource: read, vread, history, and search by its parameters.
 *
 * https://hl7.org/fhir/R4/auditevent.html#search
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { AuditEvent, Bundle } from 'fhir/r4.js'
import { anObservation, aPatient, created, eventsOf, get, post, resourcesIn, send } from './audited.js'

let patient: string
let observation: string
let practitioner: string
let posted: AuditEvent
const value = `audit-${Date.now()}`

beforeAll(async () => {
  patient = (await aPatient({ identifier: [{ system: 'urn:test', value }] })).id
  observation = (await anObservation(patient)).id
  practitioner = (await created({ resourceType: 'Practitioner', name: [{ family: 'Kato' }] })).id
  await get(`Observation/${observation}`)
  const { body } = await post('AuditEvent', {
    resourceType: 'AuditEvent',
    type: { system: 'urn:test', code: 'of-the-pump' },
    subtype: [{ system: 'urn:test', code: 'bolus' }],
    action: 'E',
    recorded: '2001-02-03T04:05:06Z',
    outcome: '8',
    agent: [
      {
        requestor: true,
        who: { reference: `Practitioner/${practitioner}` },
        altId: 'kato-1',
        name: 'Kato Grace',
        role: [{ coding: [{ system: 'urn:test', code: 'nurse' }] }],
        policy: ['urn:test:policy'],
        network: { address: 'pump-7.ward.test', type: '1' },
      },
    ],
    source: { site: 'Ward Seven', observer: { reference: `Practitioner/${practitioner}` } },
    entity: [
      {
        what: { reference: `Patient/${patient}` },
        name: 'Bed Twelve',
        type: { system: 'urn:test', code: 'bed' },
        role: { system: 'urn:test', code: 'occupant' },
      },
    ],
  })
  posted = body as AuditEvent
})

const found = async (query: string): Promise<AuditEvent[]> => {
  const { status, body, text } = await get(`AuditEvent?${query}`)
  if (status !== 200) throw new Error(text)
  return resourcesIn<AuditEvent>(body)
}

const idsOf = async (query: string) => (await found(query)).map(({ id }) => id)

describe('what was posted is found by', () => {
  test.each([
    ['_id', () => `_id=${posted.id}`],
    ['action', () => 'action=E&type=of-the-pump'],
    ['address', () => 'address=pump-7'],
    ['agent', () => `agent=Practitioner/${practitioner}`],
    ['agent-name', () => 'agent-name=kato'],
    ['agent-role', () => 'agent-role=urn:test|nurse'],
    ['altid', () => 'altid=kato-1'],
    ['date', () => 'date=2001-02-03'],
    ['date and more', () => 'date=ge2001-02-01&date=lt2001-03-01&outcome=8'],
    ['entity', () => `entity=Patient/${patient}&type=of-the-pump`],
    ['entity-name', () => 'entity-name=bed'],
    ['entity-role', () => 'entity-role=occupant'],
    ['entity-type', () => 'entity-type=urn:test|bed'],
    ['outcome', () => 'outcome=8&type=of-the-pump'],
    ['patient', () => `patient=${patient}&type=of-the-pump`],
    ['policy', () => 'policy=urn:test:policy'],
    // `site` is a token over a string.
    ['site', () => 'site=Ward%20Seven'],
    ['source', () => `source=Practitioner/${practitioner}`],
    ['subtype', () => 'subtype=bolus'],
    ['type', () => 'type=urn:test|of-the-pump'],
    ['patient.identifier', () => `patient.identifier=urn:test|${value}&type=of-the-pump`],
    ['agent:Practitioner.name', () => 'agent:Practitioner.name=kato'],
    ['_filter', () => '_filter=type eq of-the-pump and outcome eq 8'],
  ])('%s', async (_, query) => expect(await idsOf(query())).toEqual([posted.id]))

  test('nothing else', async () => {
    expect(await idsOf('date=2001-02-04&type=of-the-pump')).toEqual([])
    expect(await idsOf(`patient.identifier=urn:test|nobody&type=of-the-pump`)).toEqual([])
  })
})

describe('what the server recorded is found by', () => {
  test.each([
    ['patient', () => `patient=${patient}&subtype=read`],
    ['entity', () => `entity=Observation/${observation}&action=R`],
    ['patient and identifier', () => `patient:Patient.identifier=${value}&subtype=read`],
    ['date of today', () => `patient=${patient}&subtype=read&date=${new Date().toISOString().slice(0, 10)}`],
    ['_lastUpdated', () => `patient=${patient}&subtype=read&_lastUpdated=gt2020-01-01`],
  ])('%s', async (_, query) => {
    const events = await found(query())
    expect(events).toHaveLength(1)
    expect(events[0]!.entity![0]!.what!.reference).toBe(`Observation/${observation}/_history/1`)
  })

  test('not outside its time', async () => {
    expect(await idsOf(`patient=${patient}&date=lt2020-01-01&subtype=read`)).toEqual([])
    expect(await idsOf(`patient=${patient}&_lastUpdated=lt2020-01-01`)).toEqual([])
  })

  test('its compartment', async () => {
    const { body } = await get(`Patient/${patient}/AuditEvent?subtype=read`)
    expect(resourcesIn(body)).toHaveLength(1)
  })
})

describe('an event', () => {
  test('is read, has one version, and a history of one', async () => {
    const read = await get(`AuditEvent/${posted.id}`)
    expect(read.headers.get('etag')).toBe('W/"1"')
    expect((await get(`AuditEvent/${posted.id}/_history/1`)).text).toBe(read.text)
    expect((await get(`AuditEvent/${posted.id}/_history/2`)).status).toBe(404)
    expect(((await get(`AuditEvent/${posted.id}/_history`)).body as Bundle).total).toBe(1)
    expect((await get('AuditEvent/never-there')).status).toBe(404)
    expect((await get('AuditEvent/_history')).status).toBe(400)
  })

  test('comes in XML', async () => {
    const { text } = await send('GET', `AuditEvent/${posted.id}`, undefined, { accept: 'application/fhir+xml' })
    expect(text).toContain('<AuditEvent xmlns="http://hl7.org/fhir">')
  })

  test('reading one is recorded too', async () => {
    const [event] = await eventsOf(await get(`AuditEvent/${posted.id}`))
    expect(event?.entity?.[0]?.what?.reference).toBe(`AuditEvent/${posted.id}/_history/1`)
  })

  test('what the server makes is valid', async () => {
    const [event] = await found(`patient=${patient}&subtype=read`)
    const { body } = await post('AuditEvent/$validate', event)
    expect((body as { issue: { severity: string }[] }).issue.filter(({ severity }) => severity === 'error')).toEqual([])
  })
})

describe('pages', () => {
  const walk = async (first: string): Promise<string[]> => {
    const ids: string[] = []
    for (let path: string | undefined = first, pages = 0; path !== undefined && pages < 100; pages++) {
      const { body, status, text } = await get(path)
      if (status !== 200) throw new Error(text)
      ids.push(...resourcesIn<AuditEvent>(body).map(({ id }) => id!))
      const next = (body as Bundle).link?.find(({ relation }) => relation === 'next')?.url
      path = next === undefined ? undefined : `AuditEvent${new URL(next).search}`
    }
    return ids
  }

  test('of one and of many hold the same, newest first or oldest first', async () => {
    const one = await aPatient()
    for (let i = 0; i < 7; i++) await get(`Patient/${one.id}`)
    const query = `AuditEvent?entity=Patient/${one.id}&subtype=read`
    const all = await walk(`${query}&_count=50`)
    expect(all).toHaveLength(7)
    expect(await walk(`${query}&_count=2`)).toEqual(all)
    expect(await walk(`${query}&_count=3&_sort=date`)).toEqual([...all].reverse())
    expect(await walk(`${query}&_count=3&_sort=-_lastUpdated`)).toEqual(all)
  })

  test('the total is told where it is asked for', async () => {
    const one = await aPatient()
    await get(`Patient/${one.id}`)
    const query = `AuditEvent?entity=Patient/${one.id}&subtype=read,create`
    expect(((await get(`${query}&_total=accurate`)).body as Bundle).total).toBe(2)
    expect(((await get(`${query}&_summary=count`)).body as Bundle).total).toBe(2)
  })

  test('what events refer to is included', async () => {
    const { body } = await get(`AuditEvent?_id=${posted.id}&_include=AuditEvent:patient&_include=AuditEvent:agent`)
    const modes = (body as Bundle).entry!.map(({ resource, search }) => `${search?.mode} ${resource?.resourceType}`)
    expect(modes.sort()).toEqual(['include Patient', 'include Practitioner', 'match AuditEvent'])
  })
})

describe('elsewhere AuditEvents are refused or left out', () => {
  test.each([
    `Patient?_has:AuditEvent:patient:type=rest`,
    `Patient?_revinclude=AuditEvent:patient`,
    `?_type=AuditEvent,Patient`,
    `AuditEvent?_sort=type`,
    `AuditEvent?_revinclude=Provenance:target`,
    `AuditEvent?_include:iterate=AuditEvent:patient`,
    `AuditEvent?nonsense=1`,
  ])('400 to %s', async (path) => expect((await get(path)).status).toBe(400))

  test('in the history and the search of the system, and in $everything', async () => {
    for (const path of ['_history?_count=1000', `Patient/${patient}/*?_count=1000`, `Patient/${patient}/$everything`]) {
      const { body } = await get(path)
      expect(resourcesIn(body).map(({ resourceType }) => resourceType)).not.toContain('AuditEvent')
    }
  })
})
