/**
 * The record of one or many patients, or of an encounter: what belongs to the compartment, and what that refers to.
 *
 * https://hl7.org/fhir/R4/patient-operation-everything.html
 *
 * Patients are taken in portions, and each portion's compartment in pages of stored bytes, so that a hospital of any
 * size streams through a few megabytes. What belongs to patients of several portions comes with the first of them.
 */
import { setImmediate } from 'node:timers/promises'
import { reach } from '../access/index.js'
import { compartments, localReference, type Period, type Ref } from '../fhir/index.js'
import { and, type Expression, everything, type Position, type Query } from '../search/index.js'
import type { Match, Stored } from '../store/index.js'
import { careWithin } from './care-dates.js'
import { members } from './compartment.js'
import type { Context } from './context.js'

export type Scope = {
  /** The type whose compartment it is, and which of its resources: these, or all. */
  type: 'Patient' | 'Encounter'
  ids: string[] | 'all'
  /** Whose data may be in it. */
  patients: ReadonlySet<string> | 'all'
  filter: Filter
}

/** `since` in milliseconds; `care` when care was given; `types` what may be answered. */
export type Filter = { types?: ReadonlySet<string>; since?: number; care?: Partial<Period> }

/** Some of the focus: its ids, and where the next portion begins. */
export type Portion = { ids: string[]; next?: Position }

export type Page = { matches: Match[]; next?: Position }

const portionSize = 20
const pageSize = 2000

/** The patients from a place on. One patient or encounter is one portion without asking. */
export async function portion(context: Context, scope: Scope, after?: Position): Promise<Portion> {
  if (scope.ids !== 'all' && scope.ids.length <= 1) return { ids: scope.ids }
  const found = await context.store.search(
    { ...focusQuery(scope), count: portionSize, ...(after && { after }) },
    reach(context.caller, 'search'),
  )
  return { ids: found.matches.map(({ stored }) => stored.id), ...(found.next && { next: found.next }) }
}

function focusQuery({ type, ids }: Scope): Query {
  const where: Expression = ids === 'all' ? { op: 'everything' } : { op: 'ids', ids }
  return { types: [type], where, sort: [], include: [], count: 1, total: false }
}

/** What belongs to the compartments of a portion, from a place on. */
export async function belonging(
  context: Context,
  scope: Scope,
  ids: string[],
  count: number,
  after?: Position,
): Promise<Page> {
  const asked = { ...query(context, scope, ids, scope.filter), count, ...(after && { after }) }
  if (!asked.types?.length) return { matches: [] }
  const page = await context.store.search(asked, reach(context.caller, 'search'))
  const matches: Match[] = []
  for (const match of page.matches) if (await comesHere(context, scope, ids, match.stored)) matches.push(match)
  return { matches, ...(page.next && { next: page.next }) }
}

/**
 * What belongs to the compartments of a portion, page by page, each with what it refers to and `seen` did not have.
 *
 * With `since`, what changed comes with all that supports it, because a client may never have had that; what did not
 * change is looked through again for support that did.
 */
export async function* withSupport(
  context: Context,
  scope: Scope,
  ids: string[],
  seen: Set<string>,
): AsyncGenerator<Match[]> {
  const { since, types, ...rest } = scope.filter
  yield* supported(context, scope, ids, scope.filter, ({ stored, mode }) => mode === 'match' || unseen(stored, seen))
  if (since !== undefined && wantsSupport(scope))
    yield* supported(
      context,
      scope,
      ids,
      { ...rest, ...(types && { types }) },
      ({ stored, mode }) => mode === 'include' && stored.updated > since && unseen(stored, seen),
    )
}

async function* supported(
  context: Context,
  scope: Scope,
  ids: string[],
  filter: Filter,
  answers: (match: Match) => boolean,
): AsyncGenerator<Match[]> {
  const support = wantsSupport(scope)
  const { types, ...others } = filter
  // What is left out because of its type may still refer to what is asked for.
  const asked = query(context, scope, ids, support ? others : filter)
  const include = support ? asked.types!.map((type) => ({ reverse: false, type, param: '*', iterate: false })) : []
  let after: Position | undefined
  do {
    const page = await context.store.search(
      { ...asked, include, count: pageSize, ...(after && { after }) },
      reach(context.caller, 'search'),
    )
    const found = support ? [...page.matches, ...(await attachments(context, page.matches))] : page.matches
    const answer: Match[] = []
    for (const match of found) {
      if (types && !types.has(match.stored.type)) continue
      const { stored, mode } = match
      const fits = mode === 'match' ? await comesHere(context, scope, ids, stored) : isSupport(scope, stored)
      if (fits && answers(match)) answer.push(match)
    }
    yield answer
    after = page.next
    if (after) await setImmediate()
  } while (after)
}

/** Whether anything may be answered that does not belong to the compartments itself. */
const wantsSupport = ({ type, filter: { types } }: Scope): boolean =>
  type !== 'Patient' || !types || [...types].some((asked) => !compartments[type]?.[asked])

function unseen({ type, id }: Ref, seen: Set<string>): boolean {
  const size = seen.size
  return seen.add(`${type}/${id}`).size > size
}

/** Members of the compartments that pass the filter. */
function query(context: Context, { type }: Scope, ids: string[], { types, since, care }: Filter): Query {
  const of = members({ type, ids }, types)
  if (care)
    for (const [member, expression] of Object.entries(of))
      of[member] = and(expression, careWithin(care, member, context.searchParams))
  const where: Expression = { op: 'typed', of }
  const changed: Expression =
    since === undefined ? everything : { op: 'interval', param: '_lastUpdated', prefix: 'gt', lo: since, hi: since }
  return { types: Object.keys(of), where: and(where, changed), sort: [], include: [], count: pageSize, total: false }
}

/** Of several portions a resource may belong to, it comes with that of the patient who stands first. */
async function comesHere(context: Context, scope: Scope, ids: string[], { type, id, body }: Stored): Promise<boolean> {
  if (scope.ids !== 'all' && scope.ids.length <= 1) return true
  const strangers = mentioned(scope.type, body).filter((other) => !ids.includes(other))
  if (strangers.length === 0) return true
  const mine = reach(context.caller, 'search')
  const belongsTo: string[] = []
  for (const focus of strangers) {
    const where = and({ op: 'ids', ids: [id] }, members({ type: scope.type, ids: [focus] })[type] ?? everything)
    const { matches } = await context.store.search({ ...focusQuery(scope), types: [type], where }, mine)
    if (matches.length) belongsTo.push(focus)
  }
  const asked = focusQuery(scope)
  const where = and(asked.where, { op: 'ids', ids: [...ids, ...belongsTo] })
  const { matches } = await context.store.search({ ...asked, where }, mine)
  return matches[0] !== undefined && ids.includes(matches[0].stored.id)
}

/**
 * Whether what a match refers to may come along: what is about another patient may not, and what belongs to the
 * compartment itself is a match and comes as one.
 */
function isSupport({ type, ids, patients }: Scope, { type: own, id, body }: Stored): boolean {
  if (own === 'Patient') return type !== 'Patient' && (patients === 'all' || patients.has(id))
  const about = mentioned('Patient', body)
  if (patients !== 'all' && about.some((patient) => !patients.has(patient))) return false
  if (!compartments[type]?.[own]) return true
  return type === 'Patient'
    ? about.length === 0
    : !ids.includes(id) && !mentioned(type, body).some((focus) => ids.includes(focus))
}

/**
 * The ids of the resources of a type that a resource refers to, found in its bytes: a write has made every reference to
 * a resource of ours relative, and inside a string the quotes would stand behind a backslash.
 */
function mentioned(type: string, body: Buffer): string[] {
  const found = new Set<string>()
  const needle = `"reference":"${type}/`
  for (let at = body.indexOf(needle); at >= 0; at = body.indexOf(needle, at)) {
    at += needle.length
    found.add(/^[^"/]*/.exec(body.toString('latin1', at, at + 66))![0])
  }
  return [...found]
}

/** The Binary resources that attachments of what was found point to. */
async function attachments(context: Context, matches: Match[]): Promise<Match[]> {
  const found = new Map<string, Match>()
  for (const { stored } of matches) {
    if (stored.type === 'Binary' || !stored.body.includes('Binary/')) continue
    for (const [, url] of stored.body.toString().matchAll(/"url":"([^"\\]*Binary\/[^"\\]+)"/g)) {
      const local = localReference(url!, context.baseUrls)
      if (local?.type !== 'Binary' || found.has(local.id)) continue
      const binary = await context.store.read({ type: 'Binary', id: local.id }, reach(context.caller, 'read'))
      if (binary && !binary.deleted) found.set(local.id, { stored: binary, mode: 'include' })
    }
  }
  return [...found.values()]
}
