/**
 * How a caller may be related to a resource, as an expression: same hospital, treating, assigned, the patient, a guardian.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * Each relation is looked up in the store with every request, so that who leaves a care team stops seeing at once.
 */
import type { Ref } from '../fhir/index.js'
import {
  and,
  custodianParam,
  type Expression,
  type IntervalTest,
  not,
  or,
  participantParam,
  periodParam,
} from '../search/index.js'
import type { Caller } from './caller.js'
import { aboutPatient, inRecordOf } from './patients.js'
import { type Relation, roleTable } from './roles.js'

/** `now` in milliseconds since 1970. */
export type Asking = { caller: Caller; type: string; now: number }

type Rule = { timed?: true; of(asking: Asking): Expression }

const rules: Record<Relation, Rule> = {
  any: { of: () => ({ op: 'everything' }) },
  /** The custodian is a hospital of the caller; an Organization may also be that hospital or a part of it. */
  hospital: { of: ({ caller, type }) => or(ofHospital(caller), type === 'Organization' ? own(caller) : none) },
  'hospital-patient': {
    of: ({ caller, type }) => and(ofHospital(caller), aboutPatient(type, ofHospital(caller))),
  },
  treatment: {
    timed: true,
    of: ({ caller, type, now }) =>
      and(ofHospital(caller), aboutPatient(type, patients('treated', caller, now, treatedBy))),
  },
  assigned: {
    timed: true,
    of: ({ caller, type, now }) =>
      and(ofHospital(caller), aboutPatient(type, patients('assigned', caller, now, assignedTo))),
  },
  self: {
    of: ({ caller, type }) => or(...selves(caller, 'Patient').map(({ id }) => inRecordOf(id, type))),
  },
  dependants: {
    timed: true,
    of: ({ caller, type, now }) => aboutPatient(type, patients('guarded', caller, now, guardedBy)),
  },
  me: { of: ({ caller, type }) => ids(selves(caller, type)) },
  /** A part of the caller's hospital; not the hospital of somebody else made a part of it, nor the other way round. */
  branch: {
    of: ({ caller }) =>
      or(
        own(caller),
        and(ofHospital(caller), {
          op: 'chain',
          param: 'partof',
          types: ['Organization'],
          of: or(own(caller), ofHospital(caller)),
        }),
      ),
  },
  staff: {
    of: ({ caller }) =>
      and(ofHospital(caller), {
        op: 'chain',
        param: 'organization',
        types: ['Organization'],
        of: or(own(caller), ofHospital(caller)),
      }),
  },
  prescription: {
    of: ({ caller, type }) =>
      and(ofHospital(caller), aboutPatient(type, orderedFor(caller, 'MedicationRequest', ['active', 'on-hold']))),
  },
  order: {
    of: ({ caller, type }) =>
      and(ofHospital(caller), aboutPatient(type, orderedFor(caller, 'ServiceRequest', ['active', 'on-hold']))),
  },
}

export const isTimed = (relation: Relation): boolean => rules[relation].timed === true

export const related = (relation: Relation, asking: Asking): Expression => rules[relation].of(asking)

/** One of the references of a parameter is to the caller. */
export const named = (param: string, caller: Caller): Expression => or(...refersTo(param, selves(caller)))

const none: Expression = { op: 'nothing' }

/** The same patients for every type, and the same object, so that a store that remembers one answer has them all. */
function patients(
  name: string,
  caller: Caller,
  now: number,
  make: (caller: Caller, now: number) => Expression,
): Expression {
  const known = made.get(caller)?.get(name)
  if (known?.now === now) return known.where
  const where = make(caller, now)
  const all = made.get(caller) ?? new Map<string, { now: number; where: Expression }>()
  made.set(caller, all.set(name, { now, where }))
  return where
}

const made = new WeakMap<Caller, Map<string, { now: number; where: Expression }>>()

/** The caller as a person: the user of the token, and what else stands for them. */
const selves = ({ user, aliases = [] }: Caller, ...types: string[]): Ref[] =>
  [...(user ? [user] : []), ...aliases].filter(({ type }) => types.length === 0 || types.includes(type))

const staffOf = (caller: Caller): Ref[] => selves(caller, 'Practitioner', 'PractitionerRole')

const ids = (refs: readonly Ref[]): Expression =>
  refs.length ? { op: 'ids', ids: refs.map(({ id }) => id) } : { op: 'nothing' }

const own = ({ organizations }: Caller): Expression =>
  organizations.length ? { op: 'ids', ids: [...organizations] } : { op: 'nothing' }

export const ofHospital = ({ hospitals }: Caller): Expression =>
  or(...hospitals.map((code): Expression => ({ op: 'token', param: custodianParam, code })))

const refersTo = (param: string, refs: readonly Ref[]): Expression[] =>
  refs.map(({ type, id }): Expression => ({ op: 'reference', param, target: { type, id } }))

const statuses = (...codes: string[]): Expression =>
  or(...codes.map((code): Expression => ({ op: 'token', param: 'status', code })))

/** What is recorded of the parameter overlaps the time; what is recorded without a time is always. */
const during = (param: string, lo: number, hi: number): Expression =>
  or({ op: 'missing', param }, { op: 'interval', param, prefix: 'ap', lo, hi })

const dayMs = 86_400_000

/** A team, encounter, … of one of the caller's hospitals that refers to the patient. */
const evidence = (caller: Caller, type: string, ...of: Expression[]): Expression => ({
  op: 'has',
  type,
  param: 'patient',
  of: and(...of, ofHospital(caller)),
})

/** One of them takes part at the time. */
const participates = (refs: readonly Ref[], now: number): Expression =>
  or(
    ...refersTo('$0', refs).map((who): Expression => {
      const when: IntervalTest = { op: 'interval', param: '$1', prefix: 'ap', lo: now, hi: now }
      return { op: 'composite', param: participantParam, of: [who, when] }
    }),
  )

/** Patients who have the caller in their care team, as their practitioner, or who see them now, soon, or did lately. */
function treatedBy(caller: Caller, now: number): Expression {
  const me = staffOf(caller)
  if (me.length === 0 || caller.hospitals.length === 0) return none
  const { booked, kept } = roleTable.windows
  return or(
    ...refersTo('general-practitioner', me),
    evidence(caller, 'CareTeam', participates(me, now), statuses('active'), during('date', now, now)),
    evidence(caller, 'Encounter', ...encounterWith(me, now)),
    evidence(
      caller,
      'Appointment',
      or(...refersTo('actor', me)),
      statuses('booked', 'arrived', 'checked-in', 'fulfilled'),
      { op: 'interval', param: 'date', prefix: 'ap', lo: now - kept * dayMs, hi: now + booked * dayMs },
    ),
    evidence(caller, 'EpisodeOfCare', or(...refersTo('care-manager', me)), statuses('active')),
  )
}

/** Patients whose care team or present encounter names the caller, or has the caller's ward in its team. */
function assignedTo(caller: Caller, now: number): Expression {
  const me = staffOf(caller)
  const wards = caller.organizations
    .filter((id) => !caller.hospitals.includes(id))
    .map((id): Ref => ({ type: 'Organization', id }))
  if (me.length === 0 || caller.hospitals.length === 0) return none
  return or(
    evidence(caller, 'CareTeam', participates([...me, ...wards], now), statuses('active'), during('date', now, now)),
    evidence(caller, 'Encounter', ...encounterWith(me, now)),
  )
}

/** One of them takes part now, is about to, or did not long ago. */
function encounterWith(refs: readonly Ref[], now: number): Expression[] {
  const { planned, finished } = roleTable.windows
  const within = (prefix: 'ap' | 'ge', lo: number, hi: number): Expression => ({
    op: 'interval',
    param: 'date',
    prefix,
    lo,
    hi,
  })
  const earliest = now - finished * dayMs
  return [
    or(...refersTo('participant', refs)),
    or(
      and(statuses('arrived', 'triaged', 'in-progress', 'onleave'), participates(refs, now)),
      and(statuses('planned'), within('ap', now - dayMs, now + planned * dayMs)),
      and(statuses('finished'), within('ge', earliest, earliest)),
    ),
  ]
}

const roleCode = 'http://terminology.hl7.org/CodeSystem/v3-RoleCode'

/** Patients for whom the caller stands by law, or as a parent of somebody who is not of age yet. */
function guardedBy(caller: Caller, now: number): Expression {
  const me = selves(caller, 'RelatedPerson')
  if (me.length === 0) return none
  const { legal, parent, adult } = roleTable.guardians
  const standing = (relationships: readonly string[]): Expression => ({
    op: 'has',
    type: 'RelatedPerson',
    param: 'patient',
    of: and(
      ids(me),
      not({ op: 'token', param: 'active', code: 'false' }),
      during(periodParam, now, now),
      or(...relationships.map((code): Expression => ({ op: 'token', param: 'relationship', system: roleCode, code }))),
    ),
  })
  const of = new Date(now)
  const ofAge = of.setUTCFullYear(of.getUTCFullYear() - adult)
  return or(
    standing(legal),
    and({ op: 'interval', param: 'birthdate', prefix: 'sa', lo: ofAge, hi: ofAge }, standing(parent)),
  )
}

const orderedFor = (caller: Caller, type: string, status: readonly string[]): Expression =>
  evidence(caller, type, statuses(...status))
