import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { FhirError, resourceTypes } from '../fhir/index.js'
import {
  type Expression,
  everything,
  type IndexEntry,
  match,
  nothing,
  type Subject,
  type World,
} from '../search/index.js'
import type { Act, Caller } from './caller.js'
import { anyone, server } from './caller.js'
import { mayEver, permits, reach, referable } from './reach.js'
import { isDefinitionType, roleTable } from './roles.js'
import { parseScopes } from './scope.js'

const acts: Act[] = ['create', 'read', 'update', 'delete', 'search']

let count = 0
const caller = (more: Partial<Omit<Caller, 'scopes'>> & { scope?: string } = {}): Caller => {
  const { scope, ...rest } = more
  return {
    kind: 'person',
    id: `caller ${count++}`,
    tenant: 'default',
    role: 'doctor',
    subject: 'x',
    user: { type: 'Practitioner', id: 'doctor' },
    organizations: ['a', 'ward'],
    hospitals: ['a'],
    purpose: 'TREAT',
    ...(scope !== undefined && { scopes: parseScopes(scope) }),
    ...rest,
  }
}

describe('whoever is not told that they may, may not', () => {
  test('everything and nothing are named, for everybody and for nobody', () => {
    for (const type of ['Patient', 'Nonsense', 'constructor', '__proto__'])
      for (const act of acts) {
        expect(reach(anyone, act).of(type)).toBe(everything)
        expect(reach(server('default', 'x'), act).of(type)).toBe(everything)
        expect(reach(caller({ role: 'nobody' }), act).of(type)).toEqual(nothing)
        expect(reach(caller({ role: 'constructor' }), act).of(type)).toEqual(nothing)
        expect(reach(caller({ role: 'peer', kind: 'system', scope: 'system/*.cruds' }), act).of(type)).toEqual(nothing)
      }
  })

  test.each([...roleTable.roles.values()])('$name does what a cell names, and nothing else', (role) => {
    const who = caller({
      role: role.name,
      scope: 'user/*.cruds system/*.cruds',
      kind: role.name === 'backend' ? 'system' : 'person',
      aliases: [
        { type: 'Patient', id: 'p' },
        { type: 'RelatedPerson', id: 'r' },
      ],
      signedIn: { at: Date.now(), methods: ['mfa'] },
    })
    for (const type of resourceTypes)
      for (const act of acts) {
        const named = role.cells.some((cell) => cell.types.has(type) && cell.acts.has(act))
        if (!named) expect([type, act, reach(who, act).of(type)]).toEqual([type, act, nothing])
      }
  })

  test('administrators of the platform and of a tenant see no patients', () => {
    for (const role of ['platform-administrator', 'tenant-administrator', 'auditor']) {
      const who = caller({ role, scope: 'user/*.cruds', signedIn: { at: Date.now(), methods: ['mfa'] } })
      for (const type of [
        'Patient',
        'Observation',
        'Encounter',
        'Consent',
        'Invoice',
        'RelatedPerson',
        'Group',
        'Binary',
      ])
        for (const act of acts) expect([role, type, act, mayEver(who, act, type)]).toEqual([role, type, act, false])
    }
  })

  test('a hospital role without a hospital sees what is nobody’s', () => {
    for (const role of ['doctor', 'nurse', 'receptionist', 'pharmacist', 'hospital-administrator', 'cashier']) {
      const who = caller({ role, hospitals: [], organizations: [], scope: 'user/*.cruds' })
      for (const type of ['Patient', 'Observation', 'Invoice', 'Medication'])
        for (const act of acts) expect([role, type, act, mayEver(who, act, type)]).toEqual([role, type, act, false])
    }
  })

  test('only the roles that say so write what authority rests on', () => {
    const writers = (type: string) =>
      [...roleTable.roles.values()]
        .filter(({ cells }) =>
          cells.some((cell) => cell.types.has(type) && (cell.acts.has('create') || cell.acts.has('update'))),
        )
        .map(({ name }) => name)
    expect(writers('PractitionerRole')).toEqual([
      'platform-administrator',
      'tenant-administrator',
      'hospital-administrator',
      'backend',
    ])
    expect(writers('CareTeam')).toEqual(['doctor', 'backend'])
    expect(writers('Group')).toEqual(['backend'])
    expect(writers('RelatedPerson')).toEqual(['hospital-administrator', 'receptionist', 'patient', 'backend'])
    expect(writers('Consent')).toEqual(['receptionist', 'patient', 'guardian', 'backend'])
  })
})

test('no person acts in the role of a system', () => {
  const who = caller({ role: 'backend', scope: 'user/*.cruds system/*.cruds' })
  for (const type of resourceTypes) for (const act of acts) expect(mayEver(who, act, type)).toBe(false)
})

describe('scopes', () => {
  const may = (scope: string, act: Act, type: string, more: Partial<Caller> = {}) =>
    mayEver(caller({ role: 'patient', user: { type: 'Patient', id: 'p' }, patient: 'p', scope, ...more }), act, type)

  test.each<[scope: string, act: Act, type: string, allowed: boolean]>([
    ['patient/Observation.rs', 'read', 'Observation', true],
    ['patient/Observation.r', 'search', 'Observation', false],
    ['patient/Observation.s', 'read', 'Observation', false],
    ['patient/Observation.read', 'search', 'Observation', true],
    ['patient/Consent.write', 'create', 'Consent', true],
    ['patient/Consent.write', 'read', 'Consent', false],
    ['user/*.cruds', 'update', 'Consent', true],
    ['patient/*.rs', 'search', 'Practitioner', true],
    ['patient/*.rs', 'search', 'Patient', true],
    ['system/*.cruds', 'read', 'Observation', false],
    ['', 'read', 'Observation', false],
    ['openid fhirUser', 'read', 'Patient', false],
  ])('%s: %s %s is %s', (scope, act, type, allowed) => expect(may(scope, act, type)).toBe(allowed))

  test('of a system are system scopes alone', () => {
    const system = { kind: 'system', role: 'backend' } as const
    expect(may('user/*.cruds patient/*.cruds', 'read', 'Observation', system)).toBe(false)
    expect(may('system/*.cruds', 'read', 'Observation', system)).toBe(true)
  })

  test('of a patient need the patient of the launch', () => {
    const { patient: _, ...who } = caller({
      role: 'patient',
      user: { type: 'Patient', id: 'p' },
      scope: 'patient/*.rs',
    })
    expect(mayEver(who, 'read', 'Observation')).toBe(false)
  })

  test('that were not understood allow nothing', () =>
    expect(may('patient/Observation.rs?category=laboratory', 'read', 'Observation')).toBe(false))

  test('never widen what the role may', () => {
    const roles = [...roleTable.roles.keys()]
    for (const role of roles) {
      const kind = roleTable.roles.get(role)!.kind ?? 'person'
      const wide = caller({ role, kind, scope: 'user/*.cruds system/*.cruds' })
      const free = caller({ role, kind })
      for (const type of resourceTypes)
        for (const act of acts) if (mayEver(wide, act, type)) expect(mayEver(free, act, type)).toBe(true)
    }
  })

  test('say what to ask for when they are not enough, and the role when they are', () => {
    const refusal = (who: Caller, act: Act, type: string) => {
      try {
        reach(who, act, type)
      } catch (error) {
        return error instanceof FhirError ? [error.status, error.message] : error
      }
      return undefined
    }
    expect(refusal(caller({ scope: 'user/Patient.rs' }), 'search', 'Observation')).toEqual([
      403,
      'no scope of this token allows to search a Observation; ask for user/Observation.s',
    ])
    expect(refusal(caller({ scope: 'user/*.cruds' }), 'delete', 'Observation')).toEqual([
      403,
      'the role of doctor may not delete a Observation',
    ])
  })
})

describe('a reach is kept', () => {
  afterEach(() => {
    jest.restoreAllMocks()
  })

  test('for the caller, and for another token with the same rights', () => {
    jest.spyOn(Date, 'now').mockReturnValue(1_800_000_000_000)
    const who = caller({ scope: 'user/*.rs' })
    expect(reach(who, 'read')).toBe(reach(who, 'read'))
    expect(reach({ ...who }, 'read')).toBe(reach(who, 'read'))
    expect(reach({ ...who, id: 'another' }, 'read')).not.toBe(reach(who, 'read'))
  })

  test('no longer than the minute, where it says who treats whom now; page links outlive it', () => {
    const now = jest.spyOn(Date, 'now').mockReturnValue(1_800_000_000_000)
    const who = caller({ scope: 'user/*.rs' })
    const before = reach(who, 'read')
    now.mockReturnValue(1_800_000_060_000)
    const after = reach(who, 'read')
    expect(after.key).not.toBe(before.key)
    expect(after.lasting).toBe(before.lasting)
  })

  test('no longer than the second factor counts, also for the same rights', () => {
    const now = jest.spyOn(Date, 'now').mockReturnValue(1_800_000_000_000)
    const signedIn = { at: 1_800_000_000_000, methods: ['pwd', 'mfa'] }
    const who = caller({ role: 'tenant-administrator', scope: 'user/*.cruds', signedIn })
    expect(mayEver(who, 'delete', 'Organization')).toBe(true)
    const { signedIn: _, ...without } = who
    expect(mayEver(without, 'delete', 'Organization')).toBe(false)
    now.mockReturnValue(1_800_000_000_000 + roleTable.freshMs)
    expect(mayEver(who, 'delete', 'Organization')).toBe(false)
  })
})

test('an update may leave behind no more than what can be seen', () => {
  for (const role of roleTable.roles.keys()) {
    const who = caller({ role, scope: 'user/*.cruds', signedIn: { at: Date.now(), methods: ['mfa'] } })
    for (const type of resourceTypes)
      if (permits(who, 'update', type).length > 0 && !isDefinitionType(type))
        expect([role, type, mayEver(who, 'read', type) || mayEver(who, 'search', type)]).toEqual([role, type, true])
  }
})

describe('relations in time', () => {
  const now = Date.UTC(2027, 0, 15, 12)
  const day = 86_400_000
  const alone = (subjects: Subject[]): World => ({
    resolve: (ref) => subjects.find((each) => each.type === ref.type && each.id === ref.id),
    referring: (type, param, ref) =>
      subjects.filter(
        (each) =>
          each.type === type &&
          each.entries.some(
            (entry) =>
              entry.kind === 'reference' && entry.param === param && entry.type === ref.type && entry.id === ref.id,
          ),
      ),
    reach: { of: () => everything },
  })
  const patient: Subject = {
    type: 'Patient',
    id: 'p',
    updated: 0,
    entries: [{ kind: 'token', param: ':custodian', code: 'a' }],
  }
  const about = { kind: 'reference', param: 'patient', type: 'Patient', id: 'p' } as const
  const ofA = { kind: 'token', param: ':custodian', code: 'a' } as const
  const ofB = { kind: 'token', param: ':custodian', code: 'b' } as const
  const status = (code: string) => ({ kind: 'token', param: 'status', code }) as const
  const me = { kind: 'reference', type: 'Practitioner', id: 'doctor' } as const
  const taking = (lo: number, hi: number): IndexEntry => ({
    kind: 'composite',
    param: ':participant',
    components: [[{ ...me, param: '$0' }], [{ kind: 'interval', param: '$1', lo, hi }]],
  })
  const date = (lo: number, hi: number) => ({ kind: 'interval', param: 'date', lo, hi }) as const
  const subject = (type: string, ...entries: Subject['entries']): Subject => ({ type, id: 'x', updated: 0, entries })

  const sees = (evidence: Subject, who = caller()): boolean => {
    jest.spyOn(Date, 'now').mockReturnValue(now)
    const of: Expression = reach(who, 'read').of('Patient')
    jest.restoreAllMocks()
    return match(patient, of, alone([patient, evidence]))
  }

  test.each<[name: string, evidence: Subject, seen: boolean]>([
    ['an active care team', subject('CareTeam', about, ofA, status('active'), taking(0, 4e12)), true],
    ['one that was proposed', subject('CareTeam', about, ofA, status('proposed'), taking(0, 4e12)), false],
    ['one of another hospital', subject('CareTeam', about, ofB, status('active'), taking(0, 4e12)), false],
    ['one that was left yesterday', subject('CareTeam', about, ofA, status('active'), taking(0, now - day)), false],
    [
      'one that begins tomorrow',
      subject('CareTeam', about, ofA, status('active'), date(now + day, 4e12), taking(0, 4e12)),
      false,
    ],
    [
      'an encounter',
      subject('Encounter', about, ofA, status('in-progress'), { ...me, param: 'participant' }, taking(0, 4e12)),
      true,
    ],
    [
      'one that was left',
      subject('Encounter', about, ofA, status('in-progress'), { ...me, param: 'participant' }, taking(0, now - 1)),
      false,
    ],
    [
      'one planned for tomorrow',
      subject(
        'Encounter',
        about,
        ofA,
        status('planned'),
        { ...me, param: 'participant' },
        date(now + day, now + 2 * day),
      ),
      true,
    ],
    [
      'one planned for next month',
      subject(
        'Encounter',
        about,
        ofA,
        status('planned'),
        { ...me, param: 'participant' },
        date(now + 30 * day, now + 31 * day),
      ),
      false,
    ],
    [
      'one that ended last week',
      subject(
        'Encounter',
        about,
        ofA,
        status('finished'),
        { ...me, param: 'participant' },
        date(now - 8 * day, now - 7 * day),
      ),
      true,
    ],
    [
      'one that ended last year',
      subject(
        'Encounter',
        about,
        ofA,
        status('finished'),
        { ...me, param: 'participant' },
        date(now - 370 * day, now - 365 * day),
      ),
      false,
    ],
    [
      'one that was cancelled',
      subject('Encounter', about, ofA, status('cancelled'), { ...me, param: 'participant' }, date(now, now)),
      false,
    ],
    [
      'an appointment today',
      subject('Appointment', about, ofA, status('booked'), { ...me, param: 'actor' }, date(now, now)),
      true,
    ],
    [
      'one that is asked for',
      subject('Appointment', about, ofA, status('proposed'), { ...me, param: 'actor' }, date(now, now)),
      false,
    ],
    [
      'one next month',
      subject(
        'Appointment',
        about,
        ofA,
        status('booked'),
        { ...me, param: 'actor' },
        date(now + 30 * day, now + 30 * day),
      ),
      false,
    ],
    [
      'an episode of care',
      subject('EpisodeOfCare', about, ofA, status('active'), { ...me, param: 'care-manager' }),
      true,
    ],
    [
      'one that is over',
      subject('EpisodeOfCare', about, ofA, status('finished'), { ...me, param: 'care-manager' }),
      false,
    ],
    ['somebody else’s care team', subject('CareTeam', about, ofA, status('active')), false],
  ])('treatment: %s', (_name, evidence, seen) => expect(sees(evidence)).toBe(seen))

  test('treatment: as the general practitioner', () => {
    const registered = { ...patient, entries: [...patient.entries, { ...me, param: 'general-practitioner' } as const] }
    expect(match(registered, reach(caller(), 'read').of('Patient'), alone([registered]))).toBe(true)
  })

  const guardian = caller({ role: 'guardian', user: { type: 'RelatedPerson', id: 'x' } })
  const relation = (code: string) =>
    ({
      kind: 'token',
      param: 'relationship',
      system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode',
      code,
    }) as const
  const period = (lo: number, hi: number) => ({ kind: 'interval', param: ':period', lo, hi }) as const
  test.each<[name: string, evidence: Subject, seen: boolean]>([
    ['by law', subject('RelatedPerson', about, relation('GUARD')), true],
    ['until last year', subject('RelatedPerson', about, relation('GUARD'), period(0, now - day)), false],
    [
      'no longer active',
      subject('RelatedPerson', about, relation('GUARD'), { kind: 'token', param: 'active', code: 'false' }),
      false,
    ],
    ['a neighbour', subject('RelatedPerson', about, relation('NBOR')), false],
    ['a parent of somebody whose age is unknown', subject('RelatedPerson', about, relation('MTH')), false],
    ['somebody else', { ...subject('RelatedPerson', about, relation('GUARD')), id: 'y' }, false],
  ])('guardian: %s', (_name, evidence, seen) => expect(sees(evidence, guardian)).toBe(seen))

  test.each([
    [Date.UTC(2009, 0, 16), true],
    [Date.UTC(2009, 0, 15), false],
    [Date.UTC(1980, 0, 1), false],
  ])('guardian: a parent until the patient is of age (born %i)', (born, seen) => {
    const child: Subject = {
      ...patient,
      entries: [...patient.entries, { kind: 'interval', param: 'birthdate', lo: born, hi: born + day - 1 }],
    }
    jest.spyOn(Date, 'now').mockReturnValue(now)
    const of = reach({ ...guardian, id: `parent ${born}` }, 'read').of('Patient')
    jest.restoreAllMocks()
    expect(match(child, of, alone([child, subject('RelatedPerson', about, relation('MTH'))]))).toBe(seen)
  })
})

test('a doctor may begin an encounter with any patient of the hospital, and finds their own', () => {
  const who = caller({ scope: 'user/*.cruds' })
  const stranger: Subject = {
    type: 'Patient',
    id: 'p',
    updated: 0,
    entries: [{ kind: 'token', param: ':custodian', code: 'a' }],
  }
  expect(match(stranger, referable(who, 'Patient', 'Encounter'))).toBe(true)
  expect(match(stranger, referable(who, 'Patient', 'Observation'))).toBe(false)
  expect(match(stranger, reach(who, 'read').of('Patient'))).toBe(false)
  expect(match({ ...stranger, entries: [] }, referable(who, 'Patient', 'Encounter'))).toBe(false)
})
