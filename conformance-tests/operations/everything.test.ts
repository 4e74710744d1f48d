/**
 * $everything of a patient, all patients, a group, and an encounter.
 *
 * https://hl7.org/fhir/R4/patient-operation-everything.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Bundle, Observation, Parameters } from 'fhir/r4.js'
import { type World, world } from '../search/world.js'
import { allPages, bundle, entriesOf, expectOutcome, get, post, refsIn, remove, resourceIn, unique } from '../server.js'

let w: World

const observation = (subject: string, more: Partial<Observation> = {}): Observation => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference: subject },
  ...more,
})

beforeAll(async () => {
  w = await world({
    hospital: { resourceType: 'Organization', name: 'Hospital' },
    parent: { resourceType: 'Organization', name: 'Parent' },
    doctor: { resourceType: 'Practitioner', name: [{ family: 'Okello' }] },
    drug: { resourceType: 'Medication', code: { text: 'TDF' } },
    place: { resourceType: 'Location', name: 'Ward' },
    amina: ({ hospital }) => ({
      resourceType: 'Patient',
      name: [{ family: 'Amina' }],
      managingOrganization: { reference: hospital! },
    }),
    peter: ({ hospital }) => ({
      resourceType: 'Patient',
      name: [{ family: 'Peter' }],
      managingOrganization: { reference: hospital! },
    }),
    visit: ({ amina, place }) => ({
      resourceType: 'Encounter',
      status: 'finished',
      class: { code: 'AMB' },
      subject: { reference: amina! },
      location: [{ location: { reference: place! } }],
      period: { start: '2024-03-01', end: '2024-03-02' },
    }),
    seen: ({ amina, visit, doctor }) =>
      observation(amina!, {
        encounter: { reference: visit! },
        performer: [{ reference: doctor! }],
        effectiveDateTime: '2024-03-01',
      }),
    older: ({ amina, doctor }) =>
      observation(amina!, { performer: [{ reference: doctor! }], effectiveDateTime: '2020-01-01' }),
    taken: ({ amina, drug }) => ({
      resourceType: 'MedicationStatement',
      status: 'active',
      subject: { reference: amina! },
      medicationReference: { reference: drug! },
    }),
    other: ({ peter, amina, doctor }) =>
      observation(peter!, {
        focus: [{ reference: amina! }],
        performer: [{ reference: doctor! }],
        effectiveDateTime: '2024-03-01',
      }),
    mixed: ({ amina, other }) => observation(amina!, { hasMember: [{ reference: other! }] }),
    his: ({ peter }) => ({ resourceType: 'Device', patient: { reference: peter! } }),
    measured: ({ amina, his }) => observation(amina!, { device: { reference: his! } }),
    scan: { resourceType: 'Binary', contentType: 'text/plain', data: 'eA==' },
    letter: ({ amina, scan }) => ({
      resourceType: 'DocumentReference',
      status: 'current',
      subject: { reference: amina! },
      content: [{ attachment: { contentType: 'text/plain', url: scan! } }],
    }),
    group: ({ amina, peter }) => ({
      resourceType: 'Group',
      type: 'person',
      actual: true,
      member: [{ entity: { reference: peter! } }, { entity: { reference: amina! }, inactive: true }],
    }),
    booked: ({ amina, peter }) => ({
      resourceType: 'Appointment',
      status: 'booked',
      start: '2024-04-01T09:00:00Z',
      end: '2024-04-01T10:00:00Z',
      participant: [amina, peter].map((actor) => ({ actor: { reference: actor! }, status: 'accepted' as const })),
    }),
  })
})

const names = (found: Bundle) => w.names(found).sort()
const hers = [
  'amina',
  'booked',
  'doctor',
  'drug',
  'group',
  'hospital',
  'letter',
  'measured',
  'mixed',
  'older',
  'place',
  'scan',
  'seen',
  'taken',
  'visit',
]

describe('$everything of a patient', () => {
  test('has the compartment and what it refers to, once, and nothing of another patient', async () => {
    const answer = await bundle(`${w.refs['amina']}/$everything`)
    expect(answer.type).toBe('searchset')
    expect(names(answer)).toEqual(hers)
    expect(w.names(answer, 'include').sort()).toEqual(['doctor', 'drug', 'hospital', 'place', 'scan'])
    expect(answer.total).toBe(entriesOf(answer, 'match').length)
    expect(answer.link?.some(({ relation }) => relation === 'self')).toBe(true)
  })

  test('pages with _count yield what one answer yields', async () => {
    const pages = await allPages(`${w.refs['amina']}/$everything?_count=2`)
    for (const page of pages) expect(entriesOf(page).length).toBeLessThanOrEqual(2)
    const refs = pages.flatMap(refsIn)
    expect(new Set(refs).size).toBe(refs.length)
    expect(pages.flatMap(names).sort()).toEqual(hers)
  })

  test.each([
    ['_type=Observation', ['measured', 'mixed', 'older', 'seen']],
    ['_type=Observation,Encounter', ['measured', 'mixed', 'older', 'seen', 'visit']],
    ['_type=Observation&_type=Encounter', ['measured', 'mixed', 'older', 'seen', 'visit']],
    ['_type=Practitioner', ['doctor']],
    ['_type=Patient', ['amina']],
    ['_type=ValueSet', []],
    ['start=2024-01-01&_type=Observation,Encounter', ['measured', 'mixed', 'seen', 'visit']],
    ['end=2021-01-01&_type=Observation,Encounter', ['measured', 'mixed', 'older']],
    ['start=2024-03-02&end=2024-03-31&_type=Encounter,Observation', ['measured', 'mixed', 'visit']],
    ['_since=2999-01-01T00:00:00Z', []],
    ['_since=2000-01-01T00:00:00Z&_type=Encounter', ['visit']],
  ])('%s answers %j', async (query, expected) => {
    expect(names(await bundle(`${w.refs['amina']}/$everything?${query}`))).toEqual(expected)
    const pages = await allPages(`${w.refs['amina']}/$everything?${query}&_count=1`)
    expect(pages.flatMap(names).sort()).toEqual(expected)
  })

  test('parameters may come in a Parameters resource', async () => {
    const parameters: Parameters = {
      resourceType: 'Parameters',
      parameter: [{ name: '_type', valueCode: 'Encounter' }],
    }
    const answer = await post(`${w.refs['amina']}/$everything`, parameters)
    expect(answer.status).toBe(200)
    expect(names(resourceIn<Bundle>(answer))).toEqual(['visit'])
  })

  test('an unknown patient is 404, a deleted one 404 or 410', async () => {
    expectOutcome(await get(`Patient/${unique()}/$everything`), 404)
    const { refs } = await world({ gone: { resourceType: 'Patient' } })
    await remove(refs['gone']!)
    expectOutcome(await get(`${refs['gone']}/$everything`), [404, 410])
  })

  test.each(['nothing=1', '_type=Nothing', 'start=soon', '_since=x', '_count=0', '_count=x', '_page=x&_count=1'])(
    '%s is 400',
    async (query) => {
      expectOutcome(await get(`${w.refs['amina']}/$everything?${query}`), 400)
    },
  )

  test('a page link of one patient shows nothing of another', async () => {
    const { link } = await bundle(`${w.refs['amina']}/$everything?_count=1`)
    const next = new URL(link!.find(({ relation }) => relation === 'next')!.url)
    expectOutcome(await get(`${w.refs['peter']}/$everything${next.search}`), 400)
  })

  test('a long record comes whole', async () => {
    const { refs } = await world({ long: { resourceType: 'Patient' } })
    const entry = Array.from({ length: 2300 }, () => ({
      resource: observation(refs['long']!),
      request: { method: 'POST' as const, url: 'Observation' },
    }))
    expect((await post('', { resourceType: 'Bundle', type: 'batch', entry })).status).toBe(200)
    const answer = await bundle(`${refs['long']}/$everything`)
    expect(answer.total).toBe(2301)
    expect(new Set(refsIn(answer)).size).toBe(2301)
  })
})

describe('$everything of a group', () => {
  test('has the records of its active members', async () => {
    const answer = await bundle(`${w.refs['group']}/$everything`)
    expect(names(answer)).toEqual(['booked', 'doctor', 'group', 'hospital', 'other', 'peter'])
  })
})

describe('$everything of all patients', () => {
  test('has every record once', async () => {
    const answer = await bundle('Patient/$everything')
    const ours = names(answer).filter((name) => name !== 'a stranger')
    expect(ours).toEqual([...hers, 'his', 'other', 'peter'].sort())
    const refs = refsIn(answer)
    expect(new Set(refs).size).toBe(refs.length)
  })

  test('pages have every match once', async () => {
    const pages = await allPages('Patient/$everything?_count=500')
    const refs = pages.flatMap((page) => entriesOf(page, 'match')).map(({ fullUrl }) => fullUrl)
    expect(new Set(refs).size).toBe(refs.length)
    const whole = await bundle('Patient/$everything')
    expect(new Set(refs)).toEqual(new Set(entriesOf(whole, 'match').map(({ fullUrl }) => fullUrl)))
  })
})

describe('$everything of an encounter', () => {
  test('has what happened in it and what that refers to', async () => {
    expect(names(await bundle(`${w.refs['visit']}/$everything`))).toEqual(['amina', 'doctor', 'place', 'seen', 'visit'])
    expectOutcome(await get(`Encounter/${unique()}/$everything`), 404)
  })
})
