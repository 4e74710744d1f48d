/**
 * FHIR transaction interaction: many requests that all succeed, in one commit, or all fail.
 *
 * https://hl7.org/fhir/R4/http.html#trules
 *
 * 1. the entries are read and their structure is checked; 2. criteria are searched for, each once, and every entry
 * gets the identity it will have (`identify`); 3. links between entries and references by search become references to
 * those identities (`LinkTable`); 4. one commit, which verifies that 2. still holds, or all starts over from 2.
 */
import { FhirError, invalid, type Json, unsupported } from '../fhir/index.js'
import type { Change, Claim } from '../store/index.js'
import { refuseInvalid } from '../validation/index.js'
import { type Admission, admit } from './admit.js'
import { type Prefer, written } from './answer.js'
import { type Event, isResultLeft, leave, withResource, writeEvent } from './audited.js'
import { requestOf } from './batch.js'
import { breather } from './breathe.js'
import { commit, refuseChange } from './commit.js'
import type { BatchResponse, Context, Dispatch, Written } from './context.js'
import { atEntry, type Entry, readEntry } from './entry.js'
import { type Identified, identify } from './identify.js'
import { LinkTable } from './link-table.js'
import { prepareChecked } from './prepare.js'
import { retrying } from './retrying.js'

type Options = { prefer: Prefer; claims: Claim[] }

export async function transaction(
  context: Context,
  json: readonly Json[],
  dispatch: Dispatch,
  { prefer, claims }: Options,
): Promise<BatchResponse[]> {
  const entries = await readEntries(context, json, dispatch)
  const reads = entries.filter(({ target }) => target.kind === 'other')
  const rehearsed = await rehearse(entries, reads, dispatch, prefer)
  const responses: BatchResponse[] = new Array(entries.length)
  if (reads.length < entries.length || claims.length) {
    const done = await retrying(() => attempt(context, entries, claims))
    await leaveUnchanged(context, done, entries)
    for (const { index, written: one } of done) responses[index] = answered(one, prefer, context.baseUrls[0]!)
  }
  // Reads see what the transaction left; where it wrote nothing, the rehearsal has seen it already.
  for (const entry of reads)
    responses[entry.index] =
      reads.length === entries.length ? rehearsed.get(entry.index)! : await dispatch(requestOf(entry, prefer))
  return responses
}

/** What was committed has its event; what was found to be so already, or not to be there, gets it here. */
async function leaveUnchanged(context: Context, done: readonly Done[], entries: readonly Entry[]): Promise<void> {
  if (!context.settings.audit) return
  const byIndex = new Map(entries.map((entry) => [entry.index, entry]))
  const events = done.flatMap(({ index, written: one }): Event[] => {
    if (one !== 'nothing' && isResultLeft(one)) return []
    const { method, target } = byIndex.get(index)!
    if (target.kind === 'other') return []
    const event = writeEvent(interactions[method], target.kind === 'instance' ? target : { type: target.type })
    return [one === 'nothing' || one.stored.deleted ? event : withResource(event, one.stored)]
  })
  await leave(context, events)
}

const interactions = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
  GET: 'read',
  HEAD: 'read',
} as const

const answered = (one: Written | 'nothing', prefer: Prefer, baseUrl: string): BatchResponse =>
  one === 'nothing' ? { status: 204 } : written(one, prefer, baseUrl)

async function readEntries(context: Context, json: readonly Json[], dispatch: Dispatch): Promise<Entry[]> {
  const breathe = breather()
  const entries: Entry[] = []
  const refused: FhirError[] = []
  const fullUrls = new Set<string>()
  for (const [index, each] of json.entries()) {
    await breathe()
    try {
      const entry = readEntry(context, each, index)
      if (entry.fullUrl !== undefined) {
        if (fullUrls.has(entry.fullUrl)) throw invalid('another entry has the same fullUrl', 'fullUrl')
        fullUrls.add(entry.fullUrl)
      }
      if (entry.target.kind !== 'other') refuseChange(entry.target)
      if (isOperation(entry) && (dispatch.affectsState?.(entry.url) ?? true))
        throw unsupported(
          'an operation cannot be undone with a transaction; send it by itself or in a batch',
          'request.url',
        )
      entries.push(entry)
      // What is sent to an operation is not stored, and may be there to be told what is wrong with it.
      if (entry.resource && entry.target.kind !== 'other') refuseInvalid(entry.resource)
    } catch (error) {
      const placed = atEntry(error, index)
      if (!(placed instanceof FhirError)) throw placed
      refused.push(placed)
      if (refused.length === refusedMax) break
    }
  }
  if (refused.length === 0) return entries
  const status = refused.find((error) => error.status === 400)?.status ?? refused[0]!.status
  throw new FhirError(status, refused.flatMap(({ issues }) => issues).slice(0, issuesMax))
}

const isOperation = ({ target, method, url }: Entry) =>
  target.kind === 'other' && method === 'POST' && url.includes('$')

/** All that is wrong is told at once, up to so many entries and issues. */
const refusedMax = 100
const issuesMax = 100

/**
 * Reads are carried out last, when nothing can be undone any more; so those that do not depend on the writes are tried
 * first, and a read that fails fails the transaction.
 */
async function rehearse(
  entries: readonly Entry[],
  reads: readonly Entry[],
  dispatch: Dispatch,
  prefer: Prefer,
): Promise<Map<number, BatchResponse>> {
  const written = new Set(
    entries.flatMap(({ target }) => (target.kind === 'instance' ? [`${target.type}/${target.id}`] : [])),
  )
  const responses = new Map<number, BatchResponse>()
  for (const entry of reads) {
    const [type, id = ''] = entry.url.split(/[/?]/)
    if (written.has(`${type}/${id}`)) continue
    try {
      const response = await dispatch(requestOf(entry, prefer))
      if (response.status >= 400)
        throw new FhirError(response.status, [
          { severity: 'error', code: 'processing', diagnostics: 'this read fails, so the transaction does' },
        ])
      responses.set(entry.index, response)
    } catch (error) {
      throw atEntry(error, entry.index)
    }
  }
  return responses
}

type Done = { index: number; written: Written | 'nothing' }

/** @throws CommitRefused where what was looked at has changed meanwhile */
async function attempt(context: Context, entries: readonly Entry[], claims: Claim[]): Promise<Done[]> {
  const breathe = breather()
  const identities = await identify(context, entries, breathe)
  const links = await LinkTable.of(context, identities, breathe)
  const changes: Change[] = []
  const makers: Identified[] = []
  const done: Done[] = []
  for (const each of identities.identified) {
    await breathe()
    const { action, entry } = each
    if (action.op === 'none') {
      done.push({
        index: entry.index,
        written: action.existing ? { outcome: 'unchanged', stored: action.existing } : 'nothing',
      })
      continue
    }
    changes.push(changeOf(context, each, links))
    makers.push(each)
  }
  await admit(context, admissions(changes, makers))
  // Nothing to write and nothing to claim: what was found needs no commit to be true.
  if (changes.length === 0 && claims.length === 0) return done
  const committed = await commit(context, {
    changes,
    conditions: identities.selections.conditions,
    claims,
    retry: (index) => links.expectationOf(makers[index]!).raced,
    idFromBody: (index) => {
      const { action } = makers[index]!
      return action.op === 'put' && action.idFromBody
    },
    place: (index) => `Bundle.entry[${makers[index]!.entry.index}]`,
  })
  for (const [i, one] of committed.entries()) done.push({ index: makers[i]!.entry.index, written: one })
  return done
}

function changeOf(context: Context, each: Identified, links: LinkTable): Change {
  const { type, id, action, entry } = each
  const { expect } = links.expectationOf(each)
  if (action.op !== 'put') return { op: 'delete', type, id, ...(expect && { expect }) }
  try {
    const put = prepareChecked(context, action.resource, {
      id,
      method: action.method,
      links: links.linksOf(entry),
      ...(expect && { expect }),
      ...(each.before && { before: each.before }),
    })
    return put
  } catch (error) {
    throw atEntry(error, entry.index)
  }
}

function* admissions(changes: readonly Change[], makers: readonly Identified[]): Generator<Admission> {
  for (const [i, put] of changes.entries()) {
    const { before, entry } = makers[i]!
    if (put.op === 'put')
      yield { act: put.method === 'POST' ? 'create' : 'update', put, entry: entry.index, ...(before && { before }) }
  }
}
