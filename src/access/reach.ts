/**
 * What a caller may see, and what they may leave behind: an expression for each type.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * Scope and role and relation and the patient of the launch, each an expression, all of which must hold. Whoever is not
 * told by a scope and a cell of the table of roles that they may, may not.
 */
import { FhirError, forbidden, isResourceType } from '../fhir/index.js'
import { and, type Expression, everything, nothing, or, type Reach } from '../search/index.js'
import { grantReach } from '../search/reach.js'
import type { Act, Caller } from './caller.js'
import { hasNoPatient, inRecordOf } from './patients.js'
import { isTimed, named, related } from './relations.js'
import { type Cell, type Role, roleOf, roleTable } from './roles.js'
import { lettersOf, type Scope } from './scope.js'

const all = grantReach(() => everything, 'everything')

/** Whether nothing limits the caller in their tenant: everybody while AUTH=off, and the server at its own work. */
export const isUnlimited = ({ kind }: Caller): boolean => kind === 'anyone' || kind === 'server'

/**
 * What the caller may see (or, for a create, what the new resource must be) when acting so. With `type`, the one that
 * the interaction names, those are refused who could not do so with any resource of it.
 *
 * @throws FhirError forbidden, or 401 where signing in with a second factor would help
 */
export function reach(caller: Caller, act: Act, type?: string): Reach {
  if (isUnlimited(caller)) return all
  const granted = grantOf(caller, act).reach
  if (type !== undefined && granted.of(type).op === 'nothing') refuse(caller, act, type)
  return granted
}

/** Whether the caller could do so with some resource of the type; what is a matter of the type alone. */
export const mayEver = (caller: Caller, act: Act, type: string): boolean =>
  isUnlimited(caller) || grantOf(caller, act).reach.of(type).op !== 'nothing'

/** What one cell of the table lets the caller do with a type. */
export type Permit = {
  /** What the resource must be, before and after. */
  within: Expression
  /** What a write must leave behind besides. */
  after?: Expression
  /** The elements an update may change; all where it is not there. */
  only?: readonly string[]
}

/** What the caller may write of the type: one of these must hold. */
export function permits(caller: Caller, act: Act, type: string): readonly Permit[] {
  return isUnlimited(caller) ? [{ within: everything }] : grantOf(caller, act).permits(type)
}

/** What a resource of the type `from` may refer to: what the caller finds, and what their role may begin to work with. */
export function referable(caller: Caller, type: string, from: string): Expression {
  if (isUnlimited(caller)) return everything
  return or(
    grantOf(caller, 'read').reach.of(type),
    grantOf(caller, 'search').reach.of(type),
    grantOf(caller, 'search').refers(type, from),
  )
}

type Grant = {
  reach: Reach
  permits(type: string): readonly Permit[]
  refers(type: string, from: string): Expression
  /** Milliseconds since 1970. */
  until: number
}

/** By the caller as an object, since a verified token is kept as one; by id where it was verified anew. */
const byCaller = new WeakMap<Caller, Partial<Record<Act, Grant>>>()
const byId = new Map<string, Grant>()
const kept = 5000

function grantOf(caller: Caller, act: Act): Grant {
  const now = Date.now()
  let grants = byCaller.get(caller)
  const known = grants?.[act]
  if (known && now < known.until) return known
  if (!grants) {
    grants = {}
    byCaller.set(caller, grants)
  }
  const key = keyOf(caller, act)
  let grant = byId.get(key)
  if (!grant || now >= grant.until) {
    grant = compile(caller, act, now)
    byId.delete(key)
    byId.set(key, grant)
    if (byId.size > kept) byId.delete(byId.keys().next().value!)
  }
  grants[act] = grant
  return grant
}

/** An id does not say how long ago the second factor was given. */
const keyOf = (caller: Caller, act: Act): string =>
  JSON.stringify([act, caller.tenant, caller.id, freshUntil(caller), caller.aliases ?? [], caller.hospitals])

/** How exactly "now" is meant in a relation. */
const tickMs = 60_000

function compile(caller: Caller, act: Act, now: number): Grant {
  const asked = roleOf(caller.role)
  const role = asked?.kind === 'system' && caller.kind !== 'system' ? undefined : asked
  const cells = role?.cells.filter((cell) => cell.acts.has(act)) ?? []
  const isFresh = freshUntil(caller) > now
  const tick = cells.some(({ relation }) => isTimed(relation)) ? Math.floor(now / tickMs) * tickMs : undefined
  const open = cells.filter((cell) => isOpen(cell, caller, isFresh))
  const lasting = `${caller.tenant} ${caller.id} ${act}${isFresh ? ' fresh' : ''}`
  const at = tick ?? now
  const expressions = new Map<string, Expression>()
  const reachOf = (type: string) => or(...once(permitsOf(open, caller, act, type, at).map(({ within }) => within)))
  return {
    reach: grantReach(
      (type) => {
        let expression = expressions.get(type)
        if (!expression) {
          expression = reachOf(type)
          if (isResourceType(type)) expressions.set(type, expression)
        }
        return expression
      },
      tick === undefined ? lasting : `${lasting} ${tick}`,
      lasting,
    ),
    permits: (type) => permitsOf(open, caller, act, type, at),
    refers: (type, from) => referredBy(role, caller, { type, from }, at),
    until: Math.min(
      tick === undefined ? Number.POSITIVE_INFINITY : tick + tickMs,
      isFresh ? freshUntil(caller) : Number.POSITIVE_INFINITY,
    ),
  }
}

const freshUntil = ({ signedIn }: Caller): number =>
  signedIn?.methods.includes('mfa') ? signedIn.at + roleTable.freshMs : 0

const isOpen = ({ fresh, purposes }: Cell, { purpose }: Caller, isFresh: boolean): boolean =>
  (!fresh || isFresh) && (!purposes || purposes.includes(purpose))

function permitsOf(cells: readonly Cell[], caller: Caller, act: Act, type: string, now: number): Permit[] {
  const mine = cells.filter(({ types }) => types.has(type))
  if (mine.length === 0) return []
  const scope = allowedByScope(caller, act, type)
  if (scope.op === 'nothing') return []
  return mine.flatMap((cell): Permit[] => {
    const { relation, named: param, where, after, only } = cell
    const within = allOf(
      related(relation, { caller, type, now }),
      param === undefined ? everything : named(param, caller),
      where ?? everything,
      scope,
    )
    return within.op === 'nothing' ? [] : [{ within, ...(after && { after }), ...(only && { only }) }]
  })
}

/** What the role may refer to of a type although it does not find it. */
function referredBy(
  role: Role | undefined,
  caller: Caller,
  { type, from }: { type: string; from: string },
  now: number,
): Expression {
  const rows = role?.refers.filter((row) => row.types.has(type) && row.from.has(from)) ?? []
  return or(...rows.map(({ relation }) => related(relation, { caller, type, now })))
}

/** https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html: one scope that allows is enough. */
function allowedByScope(caller: Caller, act: Act, type: string): Expression {
  const { scopes, kind } = caller
  if (!scopes) return everything
  return or(
    ...once(
      scopes
        .filter(({ level, acts, type: of }) => {
          const isTheirs = kind === 'system' ? level === 'system' : level !== 'system'
          return isTheirs && acts.has(act) && (of === undefined || of === type)
        })
        .map((scope) => and(launched(scope, caller, type), granular(scope))),
    ),
  )
}

/** `patient/` is the record of the patient the app was launched for, and what has no patient but records refer to. */
function launched({ level }: Scope, { patient }: Caller, type: string): Expression {
  if (level !== 'patient') return everything
  if (patient === undefined) return nothing
  return hasNoPatient(type) ? everything : inRecordOf(patient, type)
}

/** A query that nobody has understood allows nothing. */
const granular = ({ where, criteria }: Scope): Expression => (where === undefined ? everything : (criteria ?? nothing))

/** What is asked twice (the patient's own record by scope and by role) is asked once. */
const allOf = (...of: Expression[]): Expression => {
  const joined = and(...of)
  return joined.op === 'and' ? and(...once(joined.of)) : joined
}

const once = (of: Expression[]): Expression[] =>
  of.length < 2 ? of : [...new Map(of.map((each) => [JSON.stringify(each), each])).values()]

function refuse(caller: Caller, act: Act, type: string): never {
  if (wouldHelp(caller, act, type))
    throw new FhirError(
      401,
      [
        {
          severity: 'error',
          code: 'login',
          diagnostics: `to ${act} a ${type}, sign in again with a second factor; it counts for ${roleTable.freshMs / 60_000} minutes`,
        },
      ],
      {
        // https://datatracker.ietf.org/doc/html/rfc9470#section-3
        headers: {
          'WWW-Authenticate': `Bearer error="insufficient_user_authentication", error_description="a fresh second factor is needed", acr_values="mfa", max_age=${roleTable.freshMs / 1000}`,
        },
      },
    )
  throw forbidden(
    allowedByScope(caller, act, type).op === 'nothing'
      ? `no scope of this token allows to ${act} a ${type}; ${toAskFor(caller, act, type)}`
      : `the role of ${roleOf(caller.role)?.title.toLowerCase() ?? 'nobody known here'} may not ${act} a ${type}`,
  )
}

const toAskFor = ({ kind }: Caller, act: Act, type: string): string =>
  `ask for ${kind === 'system' ? 'system' : 'user'}/${type}.${lettersOf(new Set([act]))}`

/** Whether a cell is closed for the want of a fresh second factor alone. */
function wouldHelp(caller: Caller, act: Act, type: string): boolean {
  if (caller.kind !== 'person' || freshUntil(caller) > Date.now()) return false
  const cells = roleOf(caller.role)?.cells.filter((cell) => cell.acts.has(act) && isOpen(cell, caller, true)) ?? []
  return permitsOf(cells, caller, act, type, Date.now()).length > 0
}
