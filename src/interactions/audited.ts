/**
 * Every interaction leaves its event, also one that was refused; interactions leave this folder through here only.
 *
 * https://profiles.ihe.net/ITI/BALP/volume-1.html
 *
 * The event of a write is committed with it (`commit`); that of anything else is durable before its answer is given. A
 * log that cannot be written refuses the interaction: nothing is answered unaudited.
 */
import {
  type Asking,
  auditEntry,
  type Happening,
  type Interaction,
  isNobodys,
  type Label,
  labelsIn,
  patientsIn,
} from '../access/index.js'
import { FhirError, type Ref, unavailable } from '../fhir/index.js'
import { type AuditEntry, type Match, type Stored, StoreLimit, StoreUnavailable } from '../store/index.js'
import type { Context } from './context.js'

/** An event but for its outcome. */
export type Event = Omit<Happening, 'outcome' | 'why'>

export type Audit<A extends unknown[], R> = {
  /** What is asked for: the event of a refusal. undefined: nobody's data, which leaves none. */
  asked: (context: Context, ...args: A) => Event | undefined
  /** What was answered, where that says more: further patients, the version. */
  answered?: (result: R, event: Event, context: Context, ...args: A) => Event | undefined
}

/** What was handed out or refused with its event already, so that nobody leaves a second one. */
const left = new WeakSet<object>()
const doors = new WeakSet<object>()

/** Whether a function is an interaction that leaves its event. */
export const isAudited = (interaction: object): boolean => doors.has(interaction)

/** The interaction that leaves an event for each of its runs. */
export function audited<A extends unknown[], R>(
  { asked, answered }: Audit<A, R>,
  run: (context: Context, ...args: A) => Promise<R>,
): (context: Context, ...args: A) => Promise<R> {
  const interaction = (context: Context, ...args: A): Promise<R> => {
    if (!context.settings.audit) return run(context, ...args)
    return watched(context, args)
  }
  const watched = async (context: Context, args: A): Promise<R> => {
    let result: R
    try {
      result = await run(context, ...args)
    } catch (error) {
      await refused(context, asked(context, ...args), error)
      throw error
    }
    if (hasLeft(result)) return result
    const event = asked(context, ...args)
    const whole = event && answered ? answered(result, event, context, ...args) : event
    if (whole && isRecorded(context, whole)) await leave(context, [whole])
    return result
  }
  doors.add(interaction)
  return interaction
}

/** The same for what is handed out in pieces: each once the log has the patients who come with it. */
export function auditedStream<A extends unknown[]>(
  asked: (context: Context, ...args: A) => Event,
  run: (context: Context, ...args: A) => AsyncIterable<Match[]>,
): (context: Context, ...args: A) => AsyncIterable<Match[]> {
  const interaction = (context: Context, ...args: A): AsyncIterable<Match[]> =>
    context.settings.audit ? watched(context, args) : run(context, ...args)
  async function* watched(context: Context, args: A): AsyncGenerator<Match[]> {
    const event = asked(context, ...args)
    const known = new Set<string>()
    let first = true
    try {
      for await (const matches of run(context, ...args)) {
        const events = newPatients(
          perPatient(
            event,
            matches.map(({ stored }) => stored),
          ),
          known,
        )
        await leave(context, events.length || !first ? events : [event])
        first = false
        yield matches
      }
      if (first) await leave(context, [event])
    } catch (error) {
      await refused(context, event, error)
      throw error
    }
  }
  doors.add(interaction)
  return interaction
}

/** What the event says of patients who are not known yet. */
function newPatients(event: Event, known: Set<string>): Event[] {
  const fresh = (event.patients ?? []).map((patient) => known.size < known.add(patient).size)
  const patients = event.patients?.filter((_, index) => fresh[index]) ?? []
  if (patients.length === 0) return []
  const labelsOf = event.labelsOf?.filter((_, index) => fresh[index])
  return [{ ...event, patients, ...(labelsOf && { labelsOf }) }]
}

/** Says that the event of this result, or of all in it, is durable. */
export function markLeft(result: object): void {
  left.add(result)
}

function hasLeft(result: unknown): boolean {
  if (typeof result !== 'object' || result === null) return false
  return Array.isArray(result) ? result.length > 0 && result.every(hasLeft) : left.has(result)
}

/** Whether the event of this result is durable. */
export const isResultLeft = (result: object): boolean => left.has(result)

/** Whether the event of a refusal was left where it was thrown. */
export const isLeft = (error: unknown): boolean => typeof error === 'object' && error !== null && left.has(error)

/**
 * What the server looks up for itself, such as where somebody works, is shown to nobody. What it writes is recorded with
 * the commit, and what it reads of patients in any case: somebody will see it.
 */
const isRecorded = ({ caller }: Context, { patients = [] }: Event): boolean =>
  caller.kind !== 'server' || patients.length > 0

/** Leaves the event of an interaction that failed, unless it has one. */
export const refused = (context: Context, event: Event | undefined, error: unknown): Promise<void> =>
  event ? refusedTogether(context, [[event, error]]) : Promise.resolve()

export async function refusedTogether(
  context: Context,
  refusals: readonly (readonly [Event, unknown])[],
): Promise<void> {
  if (!context.settings.audit || context.caller.kind === 'server') return
  const now = asking(context)
  const fresh = refusals.filter(([, error]) => !isLeft(error))
  await append(
    context,
    fresh.flatMap(([event, error]) => divided(event).map((each) => auditEntry(now, { ...each, ...failureOf(error) }))),
  )
  for (const [, error] of fresh) if (typeof error === 'object' && error !== null) left.add(error)
}

/** Leaves events of what was done. */
export function leave(context: Context, events: readonly Event[]): Promise<void> {
  return append(context, entriesOf(context, events))
}

/** Entries of what was done, for a commit. */
export function entriesOf(context: Context, events: readonly Event[]): AuditEntry[] {
  const now = asking(context)
  const entries: AuditEntry[] = []
  for (const event of events)
    if (isDivided(event)) for (const part of divided(event)) entries.push(auditEntry(now, part))
    else entries.push(auditEntry(now, event))
  return entries
}

const asking = ({ caller, clock, origin }: Context): Asking => ({ caller, at: clock(), origin })

/** @throws FhirError 503 where the log cannot be written */
export async function append(context: Context, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length === 0) return
  try {
    await context.store.audit.append(entries)
  } catch (cause) {
    if (!(cause instanceof StoreUnavailable)) context.report?.(cause)
    throw unavailable('the audit log cannot be written, so that nothing is answered; try again later', undefined, {
      cause,
      headers: { 'Retry-After': '5' },
    })
  }
}

function failureOf(error: unknown): Pick<Happening, 'outcome' | 'why'> {
  if (error instanceof FhirError)
    return { outcome: error.status >= 500 ? 8 : 4, why: `${error.status} ${error.issues[0]?.code ?? ''}`.trimEnd() }
  if (error instanceof StoreLimit) return { outcome: 4, why: '400 too-costly' }
  return { outcome: 8, why: error instanceof StoreUnavailable ? '503 transient' : '500 exception' }
}

/** The event of a resource that was asked for by its address; undefined where it is nobody's data. */
export const eventOf = (what: Interaction, ref: Ref): Event | undefined =>
  isNobodys(ref.type) ? undefined : writeEvent(what, ref)

/** The event of a write, which everything leaves; without an id as long as there is none. */
export const writeEvent = (what: Interaction, { type, id = '' }: { type: string; id?: string }): Event => ({
  what,
  data: [addressOf(type, id)],
})

/** An id that is none may hold anything. */
const addressOf = (type: string, id: string): string => (isIdLike.test(id) ? `${type}/${id}` : type)
const isIdLike = /^[A-Za-z0-9\-.]{1,64}$/

/** The event with what is known once the resource was found: its version, its patients, its labels. */
export function withResource(event: Event, stored: Stored): Event {
  const { type, id, version, body } = stored
  const labels = labelsIn(body)
  const data = [version > 0 ? `${type}/${id}/_history/${version}` : `${type}/${id}`]
  const patients = patientsIn(stored)
  // What a read leaves has no more members than these; copying unknown ones takes as long as finding the patients.
  if (isBare(event) && labels.length === 0) return { what: event.what, data, patients }
  return { ...event, data, patients, ...(labels.length > 0 && { labels }) }
}

const isBare = ({ labels, labelsOf, query, operation }: Event): boolean =>
  labels === undefined && labelsOf === undefined && query === undefined && operation === undefined

/** One event for all that was found and asked for, with every patient it concerns and the labels of each one's data. */
export function perPatient(event: Event, found: Iterable<Stored>, asked: readonly string[] = []): Event {
  const labelsOf = new Map<string, Map<string, Label>>()
  const labelled = new Map<string, Label>()
  for (const patient of [...(event.patients ?? []), ...asked]) labelsOf.set(patient, new Map())
  for (const stored of found) {
    const labels = labelsIn(stored.body)
    for (const label of labels) labelled.set(label.join('|'), label)
    for (const patient of patientsIn(stored)) {
      let known = labelsOf.get(patient)
      if (!known) {
        known = new Map()
        labelsOf.set(patient, known)
      }
      for (const label of labels) known.set(label.join('|'), label)
    }
  }
  if (labelsOf.size === 0) return labelled.size ? { ...event, labels: [...labelled.values()] } : event
  return {
    ...event,
    patients: [...labelsOf.keys()],
    ...(labelled.size > 0 && { labelsOf: [...labelsOf.values()].map((labels) => [...labels.values()]) }),
  }
}

/** So many patients are in one entry of the log; what concerns more has several. */
const patientsMax = 100

const isDivided = ({ patients }: Event): boolean => patients !== undefined && patients.length > patientsMax

function divided(event: Event): Event[] {
  if (!isDivided(event)) return [event]
  const { patients = [], labelsOf } = event
  return Array.from({ length: Math.ceil(patients.length / patientsMax) }, (_, part) => {
    const [from, to] = [part * patientsMax, (part + 1) * patientsMax]
    return { ...event, patients: patients.slice(from, to), ...(labelsOf && { labelsOf: labelsOf.slice(from, to) }) }
  })
}
