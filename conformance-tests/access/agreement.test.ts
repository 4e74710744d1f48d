/**
 * Random worlds, callers and queries: a store finds what the matcher finds within the caller's reach, and nothing else.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * SEED=n repeats a run.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Caller, parseScopes, reach, understood } from '../../src/access/index.js'
import type { Resource } from '../../src/fhir/index.js'
import { parseJson } from '../../src/fhir/index.js'
import {
  type Expression,
  everything,
  indexed,
  match,
  parse,
  readParameters,
  type Subject,
  searchParams,
  type World,
} from '../../src/search/index.js'
import { createTerminology } from '../../src/terminology/index.js'
import type { TestServer } from '../../src/testing.js'
import { of, send, startAccessServer, type Who } from './callers.js'

const seed = Number(process.env['SEED'] ?? 11)
let state = seed
const draw = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}
const pick = <T>(from: readonly T[]): T => from[Math.floor(draw() * from.length)]!
const some = <T>(from: readonly T[], most: number): T[] => [
  ...new Set(Array.from({ length: Math.floor(draw() * (most + 1)) }, () => pick(from))),
]

const hospitals = ['a', 'b']
const staff = ['d1', 'd2', 'n1']
const patients = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6']
const day = 86_400_000
const date = (days: number) => new Date(Date.now() + days * day).toISOString()
const member = (id: string) => ({
  reference: `Practitioner/${id}`,
})
const period = () =>
  pick([undefined, { start: date(-5) }, { end: date(-2) }, { start: date(3) }, { start: date(-9), end: date(9) }])

let next = 0
const made: Record<string, () => object> = {
  CareTeam: () => ({
    status: pick(['active', 'proposed', 'inactive']),
    subject: { reference: `Patient/${pick(patients)}` },
    participant: [
      ...some(staff, 2).map(member),
      ...some(['ward'], 1).map((id) => ({ reference: `Organization/${id}` })),
    ].map((who) => ({ member: who, period: period() })),
    period: period(),
  }),
  Encounter: () => ({
    status: pick(['planned', 'in-progress', 'finished', 'cancelled', 'arrived']),
    class: { code: 'AMB' },
    subject: { reference: `Patient/${pick(patients)}` },
    participant: some(staff, 2).map((id) => ({ individual: member(id), period: period() })),
    period: pick([
      undefined,
      { start: date(-1) },
      { start: date(-50), end: date(-45) },
      { start: date(4) },
      { start: date(40) },
      { start: date(-9), end: date(-8) },
    ]),
  }),
  Appointment: () => ({
    status: pick(['booked', 'proposed', 'fulfilled', 'cancelled']),
    start: date(pick([-40, -3, 2, 20])),
    end: date(21),
    participant: [`Patient/${pick(patients)}`, ...some(staff, 1).map((id) => `Practitioner/${id}`)].map(
      (reference) => ({
        actor: { reference },
        status: 'accepted',
      }),
    ),
  }),
  RelatedPerson: () => ({
    patient: { reference: `Patient/${pick(patients)}` },
    active: pick([undefined, true, false]),
    period: period(),
    relationship: [
      {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: pick(['GUARD', 'MTH', 'NBOR']) }],
      },
    ],
  }),
  Observation: () => ({
    status: pick(['final', 'preliminary']),
    code: { coding: [{ system: 'http://loinc.org', code: pick(['1-8', '2-6', '3-4']) }] },
    category: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/observation-category',
            code: pick(['laboratory', 'vital-signs']),
          },
        ],
      },
    ],
    subject: { reference: `Patient/${pick(patients)}` },
    performer: some(staff, 1).map(member),
  }),
  Condition: () => ({
    subject: { reference: `Patient/${pick(patients)}` },
    code: { coding: [{ code: pick(['x', 'y']) }] },
  }),
  MedicationRequest: () => ({
    status: pick(['active', 'on-hold', 'completed']),
    intent: 'order',
    subject: { reference: `Patient/${pick(patients)}` },
    medicationCodeableConcept: { text: 'x' },
    requester: member(pick(staff)),
  }),
  Invoice: () => ({ status: pick(['issued', 'draft']), subject: { reference: `Patient/${pick(patients)}` } }),
}
const types = [...Object.keys(made), 'Patient', 'Practitioner', 'Organization']

let server: TestServer
const world: Subject[] = []
const baseUrls = (): string[] => [server.baseUrl, server.fhir]
const params = searchParams()

const withoutEmpty = (_key: string, value: unknown) => (Array.isArray(value) && value.length === 0 ? undefined : value)

async function put(resource: { resourceType: string; id: string }): Promise<void> {
  const body = of(draw() < 0.1 ? undefined : pick(hospitals), resource)
  const { status, text } = await send(server, undefined, 'PUT', `${resource.resourceType}/${resource.id}`, {
    body: JSON.parse(JSON.stringify(body, withoutEmpty)),
  })
  if (status !== 201) throw new Error(text)
  const stored = parseJson(Buffer.from(text)) as Resource
  const entries = indexed(stored, { searchParams: params, zone: 'UTC', baseUrls: baseUrls() })
  world.push({ type: stored.resourceType, id: stored.id!, updated: Date.now(), entries })
}

beforeAll(async () => {
  server = await startAccessServer({ ZONE: 'UTC' })
  for (const id of [...hospitals, 'ward']) await put({ resourceType: 'Organization', id, name: id } as never)
  for (const id of staff) await put({ resourceType: 'Practitioner', id, name: [{ family: id }] } as never)
  for (const id of patients) {
    const birthDate = pick(['1980-01-01', '2015-05-05', undefined])
    const generalPractitioner = some(staff, 1).map(member)
    await put({
      resourceType: 'Patient',
      id,
      birthDate,
      generalPractitioner,
      name: [{ family: pick(['x', 'y']) }],
    } as never)
  }
  for (const [resourceType, make] of Object.entries(made))
    for (let i = 0; i < 14; i++)
      await put({ resourceType, id: `${resourceType.slice(0, 2).toLowerCase()}${next++}`, ...make() })
})
afterAll(() => server.close())

function randomCaller(): Who {
  const own = some(hospitals, 2)
  const affiliation = { organizations: [...own, ...some(['ward'], 1)], hospitals: own }
  const role = pick([
    'doctor',
    'nurse',
    'receptionist',
    'pharmacist',
    'patient',
    'guardian',
    'hospital-administrator',
    'cashier',
    'laboratory',
  ])
  const related = world.filter(({ type }) => type === 'RelatedPerson').map(({ id }) => id)
  const user =
    role === 'patient'
      ? { type: 'Patient', id: pick(patients) }
      : role === 'guardian'
        ? { type: 'RelatedPerson', id: pick(related) }
        : { type: 'Practitioner', id: pick(staff) }
  const scope = pick([
    'user/*.rs',
    'patient/*.rs',
    'user/Observation.rs?category=laboratory user/Patient.rs',
    'user/*.s patient/Observation.r',
  ])
  return { role, user, scope, patient: pick(patients), ...affiliation }
}

const queries: Record<string, string[]> = {
  Patient: [
    '',
    'family=x',
    '_has:Observation:patient:code=1-8',
    '_has:CareTeam:patient:status=active',
    '_has:Invoice:patient:status=issued',
    'general-practitioner.family=d1',
  ],
  Observation: [
    '',
    'code=1-8',
    'code:not=1-8',
    'patient.family=x',
    'performer=Practitioner/d1',
    'patient.general-practitioner=Practitioner/d1',
    'patient:missing=false',
  ],
  Encounter: ['', 'status=in-progress', 'participant.family=d1', 'patient.family=y'],
  Condition: ['', 'code=x', 'patient._has:Observation:patient:code=2-6'],
  CareTeam: ['', 'status=active', 'participant=Practitioner/d1', 'patient.family=x'],
  Appointment: ['', 'status=booked', 'patient.family=x', 'date=gt2020'],
  RelatedPerson: ['', 'active=true', 'patient.family=x'],
  MedicationRequest: ['', 'status=active', 'patient.family=x'],
  Invoice: ['', 'status=issued', 'patient.family=x'],
  Practitioner: ['', '_has:Observation:performer:code=1-8', '_has:Encounter:participant:status=in-progress'],
  Organization: ['', 'name=a'],
}

const terminology = createTerminology(async () => undefined)

async function callerOf({ scope, ...who }: Who): Promise<Caller> {
  const parsing = {
    searchParams: params,
    terminology,
    baseUrls: baseUrls(),
    zone: 'UTC',
    handling: 'strict' as const,
    pageSize: 20,
    pageSizeMax: 1000,
  }
  const scopes = await Promise.all(parseScopes(scope!).map((each) => understood(each, parsing)))
  return {
    kind: 'person',
    id: `agreement ${next++}`,
    tenant: 'default',
    subject: 'x',
    organizations: [],
    hospitals: [],
    purpose: 'TREAT',
    ...who,
    scopes,
  }
}

/** What is there, and what of it may be found on the way. */
const worldWith = (visible: (type: string) => Expression): World => ({
  resolve: (ref) => world.find((each) => each.type === ref.type && each.id === ref.id),
  referring: (type, param, ref) =>
    world.filter(
      (each) =>
        each.type === type &&
        each.entries.some(
          (entry) =>
            entry.kind === 'reference' && entry.param === param && entry.type === ref.type && entry.id === ref.id,
        ),
    ),
  reach: { of: visible },
})

async function expected(caller: Caller, type: string, query: string): Promise<string[]> {
  const mine = reach(caller, 'search')
  // What a reach leads to on its way is not limited by the reach: it says itself what may be seen.
  const free = worldWith(() => everything)
  const seen = world.filter((each) => match(each, mine.of(each.type), free))
  const idsOf = (of: string): Expression => {
    const ids = seen.filter((each) => each.type === of).map(({ id }) => id)
    return ids.length ? { op: 'ids', ids } : { op: 'nothing' }
  }
  const parsing = {
    searchParams: params,
    terminology,
    baseUrls: baseUrls(),
    zone: 'UTC',
    handling: 'strict' as const,
    pageSize: 20,
    pageSizeMax: 1000,
  }
  const { query: asked } = await parse({ types: [type], parameters: readParameters(query) }, parsing)
  return seen
    .filter((each) => each.type === type && match(each, asked.where, worldWith(idsOf)))
    .map(({ id }) => id)
    .sort()
}

test('stores and the matcher agree on what a caller finds', async () => {
  let found = 0
  let hidden = 0
  for (let i = 0; i < 250; i++) {
    const who = randomCaller()
    const type = pick(types)
    const query = pick(queries[type]!)
    const caller = await callerOf(who)
    const wanted = await expected(caller, type, query)
    const { status, text } = await send(server, who, 'GET', `${type}?_count=100&_total=accurate&${query}`)
    const told = JSON.stringify({ seed, who, type, query })
    if (status !== 200) {
      // No cell or scope for the type, or a parameter of what the role does not see of it.
      expect([told, status, wanted.length === 0 || text.includes('does not see all')]).toEqual([told, 403, true])
      continue
    }
    const { entry = [], total } = JSON.parse(text) as { entry?: { resource: { id: string } }[]; total: number }
    expect([told, entry.map(({ resource }) => resource.id).sort()]).toEqual([told, wanted])
    expect([told, total]).toEqual([told, wanted.length])
    for (const { id } of world.filter((each) => each.type === type).slice(0, 3)) {
      const isSeen = match(
        world.find((each) => each.type === type && each.id === id)!,
        reach(caller, 'read').of(type),
        worldWith(() => everything),
      )
      const read = await send(server, who, 'GET', `${type}/${id}`)
      expect([told, id, read.status === 200]).toEqual([told, id, isSeen])
    }
    found += wanted.length
    hidden += world.filter((each) => each.type === type).length - wanted.length
  }
  expect(found).toBeGreaterThan(100)
  expect(hidden).toBeGreaterThan(100)
})
