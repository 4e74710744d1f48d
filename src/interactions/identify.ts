/**
 * The identities that the entries of a transaction will have, found before anything is written, so that links between
 * entries can be resolved whatever their order.
 *
 * https://hl7.org/fhir/R4/http.html#trules
 */
import { reach } from '../access/index.js'
import { invalid, parseJson, type Ref, type Resource, stale } from '../fhir/index.js'
import type { Expect, Stored } from '../store/index.js'
import { refuseInvalid } from '../validation/index.js'
import { type Breathe, inWindows } from './breathe.js'
import { updateTarget } from './conditional-update.js'
import type { Context } from './context.js'
import { theOne } from './criteria.js'
import { refuseUndeletable, tooManyToDelete } from './delete.js'
import { Drafts } from './drafts.js'
import { atEntry, type Entry, patchOf } from './entry.js'
import { type Expectation, expectation, refuseIfSeen } from './expectation.js'
import { patchable, patched } from './patch.js'
import { Selections } from './selections.js'
import { checkIdentity, checkType } from './update.js'

/** One entry's effect on one resource. `none`: it leaves `existing` (or nothing) as it is. */
export type Identified = Ref & {
  entry: Entry
  action: Put | { op: 'delete' } | { op: 'none'; existing?: Stored }
  expect?: Expect
  /** What the caller sees there now, where they are limited. */
  before?: Resource
  /** Whether `expect` comes from our own look at the store and may be overtaken. */
  raced: boolean
}

type Put = {
  op: 'put'
  method: 'POST' | 'PUT' | 'PATCH'
  /** Its links are still those of the request. */
  resource: Resource
  /** A conditional update whose new resource brought its id. */
  idFromBody: boolean
}

export type Identities = {
  identified: Identified[]
  selections: Selections
  drafts: Drafts<Draft>
  /** `Type/id` of all that is changed or deleted. */
  changed: ReadonlySet<string>
}
export type Draft = Ref & { resource: Resource; entry: Entry; method: Put['method'] }

export const addressOf = ({ type, id }: Ref): string => `${type}/${id}`

const width = 32

export async function identify(context: Context, entries: readonly Entry[], breathe: Breathe): Promise<Identities> {
  const selections = new Selections(context, limits(entries))
  const work = { context, selections, breathe, deleted: new Set<string>() }
  const guarded = async (entry: Entry, task: (entry: Entry) => Promise<Identified[]>) => {
    await breathe()
    try {
      return await task(entry)
    } catch (error) {
      throw atEntry(error, entry.index)
    }
  }
  const deletes = await inWindows(
    entries.filter(({ method }) => method === 'DELETE'),
    width,
    (entry) => guarded(entry, (each) => identifyDelete(work, each)),
  )
  for (const each of deletes.flat()) if (each.action.op === 'delete') work.deleted.add(addressOf(each))
  const identified = deletes.flat()
  const urls = new Map<string, string>()
  for (const round of rounds(entries, urls)) {
    const found = await inWindows(round, width, (entry) => guarded(entry, (each) => identifyWrite(work, each, urls)))
    for (const each of found.flat()) {
      identified.push(each)
      if (each.entry.fullUrl !== undefined) urls.set(each.entry.fullUrl, addressOf(each))
    }
  }
  const drafts = new Drafts(context, draftsOf(identified), breathe)
  const changed = refuseOverlaps(identified)
  await refuseClaimedTwice(work, identified, drafts, urls)
  return { identified, selections, drafts, changed }
}

type Work = { context: Context; selections: Selections; breathe: Breathe; deleted: Set<string> }

/** Criteria are asked for one resource more than the transaction itself may take away from what they find. */
function limits(entries: readonly Entry[]): (type: string) => number {
  const changes = new Map<string, number>()
  for (const { target } of entries)
    if (target.kind !== 'other') changes.set(target.type, (changes.get(target.type) ?? 0) + 1)
  return (type) => Math.min(1 + (changes.get(type) ?? 0), 1000)
}

async function identifyDelete({ context, selections }: Work, entry: Entry): Promise<Identified[]> {
  const { target, preconditions } = entry
  if (target.kind === 'criteria') {
    const limit = context.settings.includesMax
    const { found } = await selections.get(target.type, target.criteria, limit)
    if (found.length > limit) throw tooManyToDelete(limit)
    await refuseUndeletable(context, target.type, found)
    return found.length
      ? found.map((stored) => deletion(entry, stored))
      : [{ entry, type: target.type, id: '', action: { op: 'none' }, raced: false }]
  }
  if (target.kind !== 'instance') throw invalid('a DELETE names Type/id or Type?criteria', 'request.url')
  const ref = { type: target.type, id: target.id }
  const current = await context.store.read(ref, reach(context.caller, 'delete', ref.type))
  if (!current) {
    await refuseIfSeen(context, 'delete', ref)
    if (preconditions.ifMatch !== undefined)
      throw stale('there is no such resource to match ifMatch', 'request.ifMatch')
    return [{ entry, ...ref, action: { op: 'none' }, raced: false }]
  }
  const { expect, raced } = await expectation(context, 'delete', ref, preconditions)
  return [{ entry, ...ref, action: { op: 'delete' }, raced, ...(expect && { expect }) }]
}

const deletion = (entry: Entry, { type, id, version }: Stored): Identified => ({
  entry,
  type,
  id,
  action: { op: 'delete' },
  expect: { version },
  raced: true,
})

/**
 * The writes in rounds: criteria that name another entry by its fullUrl wait until that entry has an identity.
 *
 * @throws FhirError where entries wait for each other
 */
function* rounds(entries: readonly Entry[], urls: ReadonlyMap<string, string>): Generator<Entry[]> {
  const ours = new Set(entries.flatMap(({ fullUrl, method }) => (fullUrl && writes.has(method) ? [fullUrl] : [])))
  let waiting = entries.filter(({ method, target }) => writes.has(method) && target.kind !== 'other')
  while (waiting.length) {
    const ready: Entry[] = []
    const later: Entry[] = []
    for (const entry of waiting) {
      const criteria = criteriaOf(entry)
      const waits = criteria !== undefined && urnsIn(criteria).some((urn) => ours.has(urn) && !urls.has(urn))
      if (waits) later.push(entry)
      else ready.push(entry)
    }
    if (ready.length === 0)
      throw atEntry(
        invalid('the criteria of entries refer to each other in a circle; identify one of them otherwise', 'request'),
        later[0]!.index,
      )
    yield ready
    waiting = later
  }
}

const writes = new Set(['POST', 'PUT', 'PATCH'])

const criteriaOf = ({ target, method, preconditions }: Entry): string | undefined =>
  target.kind === 'criteria' ? target.criteria : method === 'POST' ? preconditions.ifNoneExist : undefined

const urn = /urn(?::|%3a)(?:uuid|oid)(?::|%3a)[0-9a-z.-]+/gi
const urnsIn = (criteria: string): string[] => [...criteria.matchAll(urn)].map(([text]) => plain(text))
const plain = (text: string) => text.replace(/%3a/gi, ':')

async function identifyWrite(work: Work, entry: Entry, urls: ReadonlyMap<string, string>): Promise<Identified[]> {
  const { target } = entry
  switch (target.kind) {
    case 'type':
      return [await identifyCreate(work, entry, target.type, urls)]
    case 'criteria':
      return [await identifyConditional(work, entry, target, urls)]
    case 'instance':
      return [await identifyInstance(work, entry, { type: target.type, id: target.id })]
    case 'other':
      return []
  }
}

async function identifyCreate(
  work: Work,
  entry: Entry,
  type: string,
  urls: ReadonlyMap<string, string>,
): Promise<Identified> {
  const existing = criteriaOf(entry) === undefined ? undefined : theOne(type, await remaining(work, entry, type, urls))
  if (existing) return { entry, type, id: existing.id, action: { op: 'none', existing }, raced: false }
  const action = { op: 'put', method: 'POST', resource: entry.resource!, idFromBody: false } as const
  return { entry, type, id: work.context.newId(), action, expect: { exists: false }, raced: false }
}

/** What the criteria of an entry find once the deletions of the transaction are done. */
async function remaining(work: Work, entry: Entry, type: string, urls: ReadonlyMap<string, string>): Promise<Stored[]> {
  const { found } = await work.selections.get(type, resolved(criteriaOf(entry)!, urls))
  return found.filter((stored) => !work.deleted.has(addressOf(stored)))
}

const resolved = (criteria: string, urls: ReadonlyMap<string, string>) =>
  criteria.replace(urn, (text) => urls.get(plain(text)) ?? text)

async function identifyConditional(
  work: Work,
  entry: Entry,
  { type }: { type: string },
  urls: ReadonlyMap<string, string>,
): Promise<Identified> {
  const { context } = work
  const { preconditions, method, resource } = entry
  const existing = theOne(type, await remaining(work, entry, type, urls))
  if (method === 'PATCH') {
    if (!existing) throw invalid(`no ${type} matches the criteria of the patch`, 'request.url')
    return identifyPatch(work, entry, { type, id: existing.id })
  }
  checkType(type, resource!)
  const target = updateTarget(context, resource!, existing, preconditions)
  const { raced, ...seen }: Expectation = existing
    ? await expectation(context, 'update', { type, id: target.id }, preconditions)
    : { expect: { exists: false }, raced: false }
  const idFromBody = !existing && resource!.id !== undefined
  const action = { op: 'put', method: target.method, resource: resource!, idFromBody } as const
  return { entry, type, id: target.id, action, raced, ...seen }
}

async function identifyInstance(work: Work, entry: Entry, ref: Ref): Promise<Identified> {
  if (entry.method === 'PATCH') return identifyPatch(work, entry, ref)
  checkIdentity(ref, entry.resource!)
  const { raced, ...seen } = await expectation(work.context, 'update', ref, entry.preconditions)
  const action = { op: 'put', method: 'PUT', resource: entry.resource!, idFromBody: false } as const
  return { entry, ...ref, action, raced, ...seen }
}

async function identifyPatch({ context }: Work, entry: Entry, ref: Ref): Promise<Identified> {
  const current = await patchable(context, ref, entry.preconditions)
  const resource = patched(current, patchOf(entry.resource!))
  refuseInvalid(resource)
  const action = { op: 'put', method: 'PATCH', resource, idFromBody: false } as const
  const raced = entry.preconditions.ifMatch === undefined
  const before = parseJson(current.body) as Resource
  return { entry, ...ref, action, expect: { version: current.version }, before, raced }
}

function* draftsOf(identified: readonly Identified[]): Generator<Draft> {
  for (const { type, id, action, entry } of identified)
    if (action.op === 'put') yield { type, id, entry, resource: action.resource, method: action.method }
}

/**
 * "If any resource identities (including resolved identities from conditional update/delete) overlap in steps 1-3,
 * then the transaction SHALL fail."
 */
function refuseOverlaps(identified: readonly Identified[]): Set<string> {
  const changed = new Map<string, number>()
  for (const each of identified) {
    // What a conditional create finds is left as it is; a delete of nothing still names its resource.
    if (each.action.op === 'none' && each.entry.target.kind !== 'instance') continue
    const other = changed.get(addressOf(each))
    if (other !== undefined)
      throw atEntry(
        invalid(
          `this entry and entry ${other} change the same ${each.type}; a transaction changes a resource once`,
          'request',
        ),
        each.entry.index,
      )
    changed.set(addressOf(each), each.entry.index)
  }
  return new Set(changed.keys())
}

/**
 * A conditional create or update that finds nothing in the store must not find what another entry creates either: which
 * of the two came first would decide, and the order of entries means nothing.
 */
async function refuseClaimedTwice(
  { selections, breathe }: Work,
  identified: readonly Identified[],
  drafts: Drafts<Draft>,
  urls: ReadonlyMap<string, string>,
): Promise<void> {
  for (const { entry, type, id, action } of identified) {
    const criteria = criteriaOf(entry)
    if (action.op !== 'put' || criteria === undefined) continue
    await breathe()
    const { where } = await selections.get(type, resolved(criteria, urls))
    const claimants = await drafts.matching(type, where)
    const rival = claimants.find((draft) => draft.id !== id && (entry.method !== 'POST' || draft.method === 'POST'))
    if (rival)
      throw atEntry(
        invalid(`the criteria of this entry also match entry ${rival.entry.index} of the same transaction`, 'request'),
        entry.index,
      )
  }
}
