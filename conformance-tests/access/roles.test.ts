/**
 * Each cell of the table of roles: what it allows is done, what lies outside is refused as if it were not there.
 *
 * https://hl7.org/fhir/R4/security.html
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Act, lettersOf, patientParams, type Role, roleTable } from '../../src/access/index.js'
import { typeDefinition } from '../../src/fhir/index.js'
import type { TestServer } from '../../src/testing.js'
import { of, send, startAccessServer, type Who } from './callers.js'
import { elementOf, referring, type Sample, sample, satisfying } from './sample.js'

let server: TestServer

beforeAll(async () => {
  server = await startAccessServer()
  for (const resource of [...hospital('a'), ...hospital('b')]) await given(resource)
})
afterAll(() => server.close())

const teamOf = (patient: string, ...members: string[]) => ({
  status: 'active',
  subject: { reference: `Patient/${patient}` },
  participant: members.map((reference) => ({ member: { reference } })),
})

/** A hospital whose people treat the first of its two patients. */
function hospital(name: string): Sample[] {
  const patient = { subject: { reference: `Patient/treated-${name}` } }
  const own = [
    { ...sample('Organization', name) },
    { ...sample('Organization', `ward-${name}`), partOf: { reference: `Organization/${name}` } },
    ...['doctor', 'nurse', 'other'].map((who) => sample('Practitioner', `${who}-${name}`)),
    sample('Patient', `treated-${name}`),
    sample('Patient', `untreated-${name}`),
    sample('Patient', `stranger-${name}`),
    {
      ...sample('RelatedPerson', `guardian-${name}`),
      patient: { reference: `Patient/treated-${name}` },
      relationship: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'GUARD' }] }],
    },
    {
      ...sample('CareTeam', `team-${name}`),
      ...teamOf(`treated-${name}`, `Practitioner/doctor-${name}`, `Practitioner/nurse-${name}`),
    },
    { ...sample('MedicationRequest', `mr-${name}`), ...patient, status: 'active' },
    { ...sample('ServiceRequest', `sr-${name}`), ...patient, status: 'active' },
  ]
  return own.map((resource) => of(name, resource) as Sample)
}

async function given(resource: Sample): Promise<Sample> {
  const { resourceType, id } = resource
  const { status, text } = await send(server, undefined, 'PUT', `${resourceType}/${id}`, { body: resource })
  if (status !== 201 && status !== 200) throw new Error(`${resourceType}/${id}: ${text}`)
  return resource
}

const users: Record<string, string> = {
  doctor: 'Practitioner/doctor-a',
  nurse: 'Practitioner/nurse-a',
  patient: 'Patient/treated-a',
  guardian: 'RelatedPerson/guardian-a',
}

function whoIs({ name }: Role): Who {
  const [type, id] = (users[name] ?? 'Practitioner/other-a').split('/')
  const isOfNone = name === 'platform-administrator' || name === 'tenant-administrator' || name === 'auditor'
  const belongs = isOfNone ? {} : { organizations: ['a'], hospitals: ['a'], custodian: 'a' }
  return name === 'backend' || name === 'peer'
    ? { role: name, kind: 'system', client: 'ehr', scope: 'system/*.cruds', ...belongs }
    : { role: name, user: { type: type!, id: id! }, scope: 'user/*.cruds', ...belongs }
}

/** Who gave a second factor just now. */
const fresh = (who: Who): Who => ({ ...who, signedIn: { at: Date.now(), methods: ['pwd', 'mfa'] } })

type Cell = Role['cells'][number]
type Place = 'inside' | 'outside'

let count = 0

/** A resource that the cell is about, or one outside its relation; undefined where nothing is outside. */
function about(role: Role, { relation, named, where }: Cell, type: string, place: Place): Sample | undefined {
  const id = `${place}-${count++}`
  const hospitalOf = place === 'inside' ? 'a' : 'b'
  const dress = (resource: Sample, patient: string | undefined, custodian: string): Sample => {
    const params = patient === undefined ? [] : patientParams(type).slice(0, 1)
    const aboutThem = params.reduce((each, param) => referring(each, param, `Patient/${patient}`), resource)
    const security = type === 'Binary' && patient !== undefined
    const secured = security ? { ...aboutThem, securityContext: { reference: `Patient/${patient}` } } : aboutThem
    const theirs = named === undefined ? secured : referring(secured, named, users[role.name] ?? 'Practitioner/other-a')
    return of(custodian, satisfying(theirs, where))
  }
  const made = sample(type, id)
  switch (relation) {
    case 'any':
      return place === 'inside' ? dress(made, undefined, 'a') : undefined
    case 'hospital':
    case 'hospital-patient':
      return dress(made, `treated-${hospitalOf}`, hospitalOf)
    case 'me': {
      const [own, ownId] = (users[role.name] ?? 'Practitioner/other-a').split('/')
      if (own !== type) return undefined
      if (type === 'RelatedPerson')
        return hospital(hospitalOf).find((each) => each.resourceType === type && each.id === `guardian-${hospitalOf}`)
      return place === 'inside' ? dress({ ...made, id: ownId! }, undefined, 'a') : dress(made, undefined, 'a')
    }
    case 'branch':
      return dress({ ...made, partOf: { reference: `Organization/${hospitalOf}` } }, undefined, hospitalOf)
    case 'staff':
      return dress({ ...made, organization: { reference: `Organization/${hospitalOf}` } }, undefined, hospitalOf)
    default: {
      // What other cells are tried with may have made orders for the untreated one.
      const isOrder = relation === 'prescription' || relation === 'order'
      const patient = place === 'inside' ? 'treated-a' : isOrder ? 'stranger-a' : 'untreated-a'
      return type === 'Patient' ? of('a', sample(type, patient)) : dress(made, patient, 'a')
    }
  }
}

/** The resource with a change that the cell allows. */
function changed(resource: Sample, { only, after }: Cell): Sample {
  if (!only) return satisfying({ ...resource, language: 'en' }, after)
  const left = satisfying(resource, after)
  const name = only.find((each) => left[each] === undefined && !each.startsWith('_') && each !== 'extension')!
  const property = typeDefinition(resource.resourceType)!.properties.get(name)!
  const [, value] = elementOf(resource.resourceType, { ...property.element, types: [property.type] })
  return { ...left, [name]: property.element.many ? [value] : value }
}

/** What the answer shows and should not, or does not mark. */
function misseen(text: string, { without }: Cell): string | undefined {
  if (!without) return text.includes('"SUBSETTED"') ? 'marked as a part' : undefined
  const shown = without.filter((name) => JSON.parse(text)[name] !== undefined)
  return shown.length ? `shows ${shown}` : text.includes('"SUBSETTED"') ? undefined : 'not marked as a part'
}

const acts: Record<Act, (who: Who, cell: Cell, role: Role, type: string, place: Place) => Promise<string | undefined>> =
  {
    read: async (who, cell, role, type, place) => {
      const resource = about(role, cell, type, place)
      if (!resource) return undefined
      await given(resource)
      const { status, text } = await send(server, who, 'GET', `${type}/${resource.id}`)
      if (place === 'outside') return status === 404 ? undefined : `read ${status}`
      return status === 200 ? misseen(text, cell) : `read ${status}`
    },
    search: async (who, cell, role, type, place) => {
      const resource = about(role, cell, type, place)
      if (!resource) return undefined
      await given(resource)
      const { status, text } = await send(server, who, 'GET', `${type}?_id=${resource.id}`)
      const total = status === 200 ? JSON.parse(text).total : undefined
      if (total !== (place === 'inside' ? 1 : 0)) return `search ${status} ${total} ${text.slice(0, 200)}`
      return place === 'inside' ? misseen(JSON.stringify(JSON.parse(text).entry[0].resource), cell) : undefined
    },
    create: async (who, cell, role, type, place) => {
      const resource = about(role, cell, type, place)
      if (!resource) return undefined
      // Without a patient or a tree the new resource belongs to the caller's hospital, whatever it says.
      const isTheirs = patientParams(type).length === 0 && type !== 'Binary' && cell.relation === 'hospital'
      const { status, text } = await send(server, who, 'POST', type, { body: satisfying(resource, cell.after) })
      const expected = place === 'inside' || isTheirs ? [201] : [403, 422]
      return expected.includes(status) ? undefined : `create ${status} ${text}`
    },
    update: async (who, cell, role, type, place) => {
      const resource = about(role, cell, type, place)
      if (!resource) return undefined
      await given(resource)
      const body = changed(resource, cell)
      const { status, text } = await send(server, who, 'PUT', `${type}/${resource.id}`, { body })
      const seen = await send(server, who, 'GET', `${type}/${resource.id}`)
      if (place === 'inside') return status === 200 ? undefined : `update ${status} ${text}`
      return status === (seen.status === 200 ? 403 : 405) ? undefined : `update ${status} ${text}`
    },
    delete: async (who, cell, role, type, place) => {
      const resource = about(role, cell, type, place)
      if (!resource) return undefined
      await given(resource)
      const path = `${type}/${resource.id}`
      const { status, text } = await send(server, who, 'DELETE', path)
      const left = await send(server, undefined, 'GET', path)
      if (place === 'inside') return left.status === 410 ? undefined : `delete ${status} ${text}`
      return left.status === 200 && [204, 403].includes(status) ? undefined : `delete ${status}, then ${left.status}`
    },
  }

function attempt(who: Who, act: Act, type: string) {
  switch (act) {
    case 'create':
      return send(server, who, 'POST', type, { body: sample(type, 'x') })
    case 'read':
      return send(server, who, 'GET', `${type}/none`)
    case 'update':
      return send(server, who, 'PUT', `${type}/none`, { body: sample(type, 'none') })
    case 'delete':
      return send(server, who, 'DELETE', `${type}/none`)
    case 'search':
      return send(server, who, 'GET', type)
  }
}

const rows = [...roleTable.roles.values()].flatMap((role) =>
  role.cells.flatMap((cell, index) =>
    [...cell.acts].map((act) => ({
      role,
      cell,
      act,
      name: `${role.name} ${index} ${lettersOf(new Set([act]))} ${cell.relation} ${[...cell.types].slice(0, 3).join(' ')}${cell.types.size > 3 ? ' …' : ''}`,
    })),
  ),
)

/** What anybody of the role may do lies outside of no relation. */
const isOpenElsewhere = (role: Role, act: Act, type: string) =>
  role.cells.some((cell) => cell.relation === 'any' && cell.acts.has(act) && cell.types.has(type))

/** Audit events are in a log of their own. */
const tested = (cell: Cell) => [...cell.types].filter((type) => type !== 'AuditEvent')

describe.each(rows)('$name', ({ role, cell, act }) => {
  test('is allowed inside, and hidden or refused outside', async () => {
    const who = cell.fresh ? fresh(whoIs(role)) : whoIs(role)
    const wrong: string[] = []
    for (const type of tested(cell))
      for (const place of ['inside', 'outside'] as const) {
        if (place === 'outside' && isOpenElsewhere(role, act, type)) continue
        const problem = await acts[act](who, cell, role, type, place)
        if (problem !== undefined) wrong.push(`${type} ${place}: ${problem}`)
      }
    expect(wrong).toEqual([])
  })

  if (cell.fresh)
    test('needs a second factor given a short while ago', async () => {
      const stale = { at: Date.now() - roleTable.freshMs - 1, methods: ['pwd', 'mfa'] }
      for (const type of cell.types)
        for (const signedIn of [stale, { at: Date.now(), methods: ['pwd'] }]) {
          const answer = await attempt({ ...whoIs(role), signedIn }, act, type)
          expect([type, answer.status]).toEqual([type, 401])
          expect(answer.headers.get('www-authenticate')).toContain('insufficient_user_authentication')
        }
    })
})

describe.each([...roleTable.roles.values()])('$name', (role) => {
  test('may do nothing that no cell names', async () => {
    // One of each kind of type; the table itself is looked at for all in src/access/reach.test.ts.
    const types = [
      'Patient',
      'Observation',
      'Invoice',
      'Organization',
      'PractitionerRole',
      'ValueSet',
      'Group',
      'Subscription',
    ]
    for (const type of types)
      for (const act of ['create', 'read', 'update', 'delete', 'search'] as const) {
        if (role.cells.some((cell) => cell.types.has(type) && cell.acts.has(act))) continue
        const { status } = await attempt(fresh(whoIs(role)), act, type)
        expect([role.name, act, type, status]).toEqual([role.name, act, type, 403])
      }
  })
})
