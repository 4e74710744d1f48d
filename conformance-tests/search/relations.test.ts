/**
 * Searches across references: chains, reverse chains, includes, lists and compartments.
 *
 * https://hl7.org/fhir/R4/search.html#chaining
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Observation } from 'fhir/r4.js'
import { bundle, entriesOf, expectOutcome, get } from '../server.js'
import { type World, world } from './world.js'

let w: World

const observation = (subject: string, code: string, more: Partial<Observation> = {}): Observation => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code }] },
  subject: { reference: subject },
  ...more,
})

beforeAll(async () => {
  w = await world({
    root: { resourceType: 'Organization', name: 'Root Trust' },
    clinic: ({ root }) => ({ resourceType: 'Organization', name: 'Clinic', partOf: { reference: root! } }),
    ward: ({ clinic }) => ({ resourceType: 'Organization', name: 'Ward', partOf: { reference: clinic! } }),
    doctor: { resourceType: 'Practitioner', name: [{ family: 'Okello' }] },
    amina: ({ ward, doctor }) => ({
      resourceType: 'Patient',
      name: [{ family: 'Amina' }],
      managingOrganization: { reference: ward! },
      generalPractitioner: [{ reference: doctor! }],
    }),
    peter: ({ root }) => ({
      resourceType: 'Patient',
      name: [{ family: 'Peter' }],
      managingOrganization: { reference: root! },
    }),
    device: ({ peter }) => ({ resourceType: 'Device', patient: { reference: peter! }, modelNumber: 'M1' }),
    visit: ({ amina }) => ({
      resourceType: 'Encounter',
      status: 'finished',
      class: { code: 'AMB' },
      subject: { reference: amina! },
    }),
    cd4: ({ amina, visit, doctor }) =>
      observation(amina!, '24467-3', { encounter: { reference: visit! }, performer: [{ reference: doctor! }] }),
    load: ({ amina, cd4 }) => observation(amina!, '20447-9', { hasMember: [{ reference: cd4! }] }),
    weight: ({ peter, device }) => observation(peter!, '29463-7', { device: { reference: device! } }),
    roster: ({ amina, peter }) => ({
      resourceType: 'List',
      status: 'current',
      mode: 'working',
      entry: [{ item: { reference: amina! } }, { item: { reference: peter! } }],
    }),
    team: ({ amina }) => ({
      resourceType: 'Group',
      type: 'person',
      actual: true,
      member: [{ entity: { reference: amina! } }],
    }),
  })
})

const found = async (type: string, query: string) => (await w.find(type, query)).sort().join(' ')

describe('chain', () => {
  test.each([
    ['Observation', 'subject:Patient.family=amina', 'cd4 load'],
    ['Observation', 'patient.family=amina', 'cd4 load'],
    ['Observation', 'subject:Patient.family=amina,peter', 'cd4 load weight'],
    ['Observation', 'subject:Patient.organization.name=ward', 'cd4 load'],
    ['Observation', 'patient.organization.partof.name=clinic', 'cd4 load'],
    ['Observation', 'patient.organization.partof.partof.name=root', 'cd4 load'],
    ['Observation', 'patient.general-practitioner:Practitioner.family=okello', 'cd4 load'],
    ['Observation', 'has-member.code=24467-3', 'load'],
    ['Observation', 'patient.family=amina&code=24467-3', 'cd4'],
    ['Observation', 'patient.family=nobody', ''],
    ['Observation', 'patient._id=nobody', ''],
    ['Observation', 'encounter.class=AMB', 'cd4'],
    ['Observation', 'device:Device.patient.family=peter', 'weight'],
    ['Patient', 'organization.name:exact=Root Trust', 'peter'],
  ])('%s?%s finds %s', async (type, query, expected) => {
    expect(await found(type, query)).toBe(expected)
  })

  test.each([
    'subject.nothing=1',
    'subject:Patient.nothing=1',
    'subject:Nothing.name=1',
    'code.name=1',
    'subject:Patient.=1',
  ])('Observation?%s is 400', async (query) => {
    expectOutcome(await get(`Observation?${query}`), 400)
  })
})

describe('_has', () => {
  test.each([
    ['Patient', '_has:Observation:patient:code=24467-3', 'amina'],
    ['Patient', '_has:Observation:subject:code=29463-7', 'peter'],
    ['Patient', '_has:Observation:patient:code=24467-3,29463-7', 'amina peter'],
    ['Patient', '_has:Observation:patient:code=24467-3&_has:Observation:patient:code=29463-7', ''],
    ['Patient', '_has:Observation:patient:performer.family=okello', 'amina'],
    ['Patient', '_has:Encounter:patient:_has:Observation:encounter:code=24467-3', 'amina'],
    ['Organization', '_has:Patient:organization:_has:Observation:patient:code=24467-3', 'ward'],
    ['Observation', 'patient._has:Group:member:_id=TEAM', 'cd4 load'],
    ['Patient', '_has:Group:member:_id=TEAM', 'amina'],
    ['Practitioner', '_has:Patient:general-practitioner:family=amina', 'doctor'],
  ])('%s?%s finds %s', async (type, query, expected) => {
    expect(await found(type, query.replace('TEAM', w.refs['team']!.split('/')[1]!))).toBe(expected)
  })

  test.each([
    '_has:Nothing:patient:code=1',
    '_has:Observation:nothing:code=1',
    '_has:Observation:patient:nothing=1',
    '_has:Observation:code:code=1',
    '_has:Observation=1',
  ])('Patient?%s is 400', async (query) => {
    expectOutcome(await get(`Patient?${query}`), 400)
  })
})

describe('_include', () => {
  const included = async (type: string, query: string) => {
    const answer = await bundle(`${type}?${w.tag}&${query}`)
    return `${w.names(answer, 'match').sort().join(' ')} + ${w.names(answer, 'include').sort().join(' ')}`.trim()
  }

  test.each([
    ['Observation', 'code=24467-3&_include=Observation:subject', 'cd4 + amina'],
    ['Observation', 'code=24467-3&_include=Observation:patient', 'cd4 + amina'],
    ['Observation', 'code=24467-3&_include=Observation:performer', 'cd4 + doctor'],
    ['Observation', 'code=24467-3&_include=Observation:subject:Patient', 'cd4 + amina'],
    ['Observation', 'code=24467-3&_include=Observation:subject:Group', 'cd4 +'],
    ['Observation', 'code=24467-3&_include=Observation:subject&_include=Observation:encounter', 'cd4 + amina visit'],
    ['Observation', 'code=24467-3&_include=*', 'cd4 + amina doctor visit'],
    ['Observation', 'code=24467-3&_include=Observation:*', 'cd4 + amina doctor visit'],
    // "each resource once": what is a match is not included as well
    ['Observation', '_include=Observation:has-member', 'cd4 load weight +'],
    ['Observation', 'code=20447-9&_include=Observation:has-member', 'load + cd4'],
    [
      'Observation',
      'code=20447-9&_include=Observation:has-member&_include:iterate=Observation:encounter',
      'load + cd4 visit',
    ],
    ['Observation', 'code=20447-9&_include=Observation:has-member&_include=Observation:encounter', 'load + cd4'],
    [
      'Patient',
      'family=amina&_include=Patient:organization&_include:iterate=Organization:partof',
      'amina + clinic root ward',
    ],
    ['Patient', 'family=amina&_revinclude=Observation:subject', 'amina + cd4 load'],
    ['Patient', 'family=amina&_revinclude=Observation:patient&_revinclude=Encounter:patient', 'amina + cd4 load visit'],
    [
      'Patient',
      'family=amina&_revinclude=Encounter:patient&_revinclude:iterate=Observation:encounter',
      'amina + cd4 visit',
    ],
    ['Organization', 'name=root&_revinclude:iterate=Organization:partof', 'root + clinic ward'],
    ['Encounter', '_revinclude=Observation:encounter&_include=Encounter:patient', 'visit + amina cd4'],
  ])('%s?%s answers %s', async (type, query, expected) => {
    expect(await included(type, query)).toBe(expected)
  })

  test('all that refers to a patient comes with _revinclude=*', async () => {
    const answer = await bundle(`Patient?${w.tag}&family=amina&_revinclude=*`)
    expect(w.names(answer, 'include').sort()).toEqual(['cd4', 'load', 'roster', 'team', 'visit'])
  })

  test('a circle of references ends', async () => {
    const circle = await world({ a: { resourceType: 'Organization', name: 'A' } })
    const { refs } = await world({
      b: { resourceType: 'Organization', name: 'B', partOf: { reference: circle.refs['a']! } },
    })
    const a = circle.refs['a']!
    const { send } = await import('../server.js')
    const body = { resourceType: 'Organization', id: a.split('/')[1], name: 'A', partOf: { reference: refs['b'] } }
    expect((await send('PUT', a, { body })).status).toBe(200)
    const answer = await bundle(`Organization?_id=${a.split('/')[1]}&_include:iterate=Organization:partof`)
    expect(entriesOf(answer)).toHaveLength(2)
  })

  test.each([
    '_include=Nothing:subject',
    '_include=Observation:nothing',
    '_include=Observation:code',
    '_include=subject',
    '_include=Observation:subject:Nothing',
    '_revinclude=Observation:nothing',
    '_include=',
  ])('Observation?%s is 400', async (query) => {
    expectOutcome(await get(`Observation?${query}`), 400)
  })
})

describe('_list', () => {
  test('finds what stands in a list', async () => {
    expect(await found('Patient', `_list=${w.refs['roster']!.split('/')[1]}`)).toBe('amina peter')
    expect(await found('Patient', `_list=${w.refs['roster']!.split('/')[1]}&family=peter`)).toBe('peter')
    expect(await found('Patient', '_list=nothing')).toBe('')
  })
})

describe('search-compartment', () => {
  const inCompartment = async (path: string) => {
    const answer = await bundle(`${path}${path.includes('?') ? '&' : '?'}${w.tag}`)
    return w.names(answer, 'match').sort().join(' ')
  }

  test.each([
    ['AMINA/Observation', 'cd4 load'],
    ['AMINA/Observation?code=24467-3', 'cd4'],
    ['AMINA/Encounter', 'visit'],
    ['AMINA/Condition', ''],
    ['AMINA/*', 'amina cd4 load team visit'],
    ['PETER/Observation', 'weight'],
    ['VISIT/Observation', 'cd4'],
    ['DOCTOR/Observation', 'cd4'],
    ['DEVICE/Observation', 'weight'],
  ])('%s finds %s', async (path, expected) => {
    const filled = path.replace(/^[A-Z]+/, (name) => w.refs[name.toLowerCase()]!)
    expect(await inCompartment(filled)).toBe(expected)
  })

  test('POST _search works in a compartment', async () => {
    const { send } = await import('../server.js')
    const body = `code=24467-3&${w.tag}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await send('POST', `${w.refs['amina']}/Observation/_search`, { body, headers })
    expect(answer.status).toBe(200)
    expect(w.names(JSON.parse(answer.text))).toEqual(['cd4'])
  })

  test('a type that no compartment has, or a type without a compartment, is an error and never everything', async () => {
    expectOutcome(await get(`${w.refs['amina']}/ValueSet`), [400, 404])
    expectOutcome(await get(`${w.refs['roster']}/Patient`), [400, 404])
  })
})
