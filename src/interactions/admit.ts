/**
 * Whether the caller may leave behind what a write makes: the new resource must itself lie within their reach.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * References come first: a resource the caller must not know of is answered like one that is not there.
 */
import { type Act, isUnlimited, patientParams, permits, referable, roleOf } from '../access/index.js'
import {
  type FhirError,
  forbidden,
  type Json,
  parseJson,
  type Resource,
  referencesIn,
  splice,
  writeJson,
} from '../fhir/index.js'
import { and, type Expression, everything, type IndexEntry, indexed } from '../search/index.js'
import type { Put } from '../store/index.js'
import { type Breathe, breather } from './breathe.js'
import { dangling } from './commit.js'
import type { Context } from './context.js'
import { atEntry } from './entry.js'
import { Holds } from './holds.js'

/** `before`: what an update replaces. `entry`: where it stands in a transaction. */
export type Admission = { act: Act; put: Put; before?: Resource; entry?: number }

/** @throws FhirError forbidden, or that of a reference that leads nowhere */
export async function admit(context: Context, admissions: Iterable<Admission>): Promise<void> {
  if (isUnlimited(context.caller)) return
  const all = [...admissions]
  const holds = new Holds(
    context,
    all.map(({ put }) => put),
  )
  const breathe = breather()
  if (context.settings.integrity) await refuseHidden(context, all, holds, breathe)
  for (const admission of all) {
    await breathe()
    const problem = await refusal(context, admission, holds)
    if (problem) throw placed(problem, admission)
  }
}

const placed = (error: FhirError, { entry }: Admission): unknown =>
  entry === undefined ? error : atEntry(error, entry)

async function refusal(context: Context, admission: Admission, holds: Holds): Promise<FhirError | undefined> {
  const { act, put, before } = admission
  const { type } = put
  const moved = before && movedBy(context, put, before)
  if (moved !== undefined) return forbidden(`you may not change "${moved}" of this ${type}; make a new one instead`)
  let changed: string[] | undefined
  const outside: string[] = []
  for (const { within, after = everything, only } of permits(context.caller, act, type)) {
    if (!(await holds.of(put, and(within, after)))) continue
    if (!only || !before) return undefined
    changed ??= changes(put, before)
    const more = changed.filter((name) => !only.includes(name))
    if (more.length === 0) return undefined
    outside.push(...more)
  }
  return forbidden(
    outside.length
      ? `you may not change ${[...new Set(outside)].join(', ')} of this ${type}`
      : `you may not ${act} such a ${type}`,
  )
}

/** The names of the elements at the root that are not as they were. */
function changes({ serialized }: Put, before: Resource): string[] {
  const after = parseJson(splice(serialized, 1, 0)) as Resource
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => !ours.has(name) && text(before[name]) !== text(after[name]))
}

/** What the server or the text generator writes: it says nothing new. */
const ours = new Set(['resourceType', 'id', 'meta', 'text'])

const text = (value: Json | undefined): string | undefined => (value === undefined ? undefined : writeJson(value))

/** What makes a resource somebody else's, or widens what others see: fixed once it is there. */
function movedBy(context: Context, put: Put, before: Resource): string | undefined {
  const { type } = put
  const fixed = [...patientParams(type).filter((param) => fixedParams.has(param)), ...(authority[type] ?? [])]
  if (fixed.length === 0) return undefined
  const moves = roleOf(context.caller.role)?.moves
  const { searchParams, settings, baseUrls } = context
  const old = indexed(before, { searchParams, zone: settings.zone, baseUrls, fullText: false })
  return fixed.find((param) => !moves?.has(`${type}.${param}`) && leadsTo(old, param) !== leadsTo(put.entries, param))
}

/** Members of a Group and actors of a Schedule come and go. */
const fixedParams = new Set(['patient', 'subject'])

const authority: Record<string, readonly string[]> = { Patient: ['link'], Organization: ['partof'] }

const leadsTo = (entries: readonly IndexEntry[], param: string): string =>
  entries
    .flatMap((entry) =>
      entry.param !== param
        ? []
        : entry.kind === 'reference'
          ? [`${entry.type}/${entry.id}`]
          : entry.kind === 'reference-url'
            ? [entry.url]
            : [],
    )
    .sort()
    .join(' ')

/** References to what the caller does not find; what the resource referred to before may stay. */
async function refuseHidden(
  context: Context,
  admissions: readonly Admission[],
  holds: Holds,
  breathe: Breathe,
): Promise<void> {
  const questions = new Map<string, Question>()
  const about = (from: string, type: string): Question => {
    const key = `${from} ${type}`
    let question = questions.get(key)
    if (!question) {
      question = { type, within: referable(context.caller, type, from), ids: new Set(), found: new Set() }
      questions.set(key, question)
    }
    return question
  }
  for (const { put } of admissions) {
    await breathe()
    for (const ref of put.references) if (!holds.isDraft(ref)) about(put.type, ref.type).ids.add(ref.id)
  }
  for (const question of questions.values()) {
    const { type, ids, within } = question
    // The store itself tells what is not there from what is.
    question.found = within.op === 'everything' ? ids : await holds.among(type, [...ids], within)
  }
  for (const admission of admissions) {
    const { put, before } = admission
    const out = put.references.filter((ref) => !holds.isDraft(ref) && !about(put.type, ref.type).found.has(ref.id))
    if (out.length === 0) continue
    const old = before
      ? new Set([...referencesIn(before as Json)].map(({ reference }) => unversioned(reference)))
      : none
    const hidden = out.find(({ type, id }) => !old.has(`${type}/${id}`))
    if (hidden) throw placed(dangling(put.type, hidden), admission)
  }
}

/** Which of the ids of a type may be referred to. */
type Question = { type: string; within: Expression; ids: Set<string>; found: ReadonlySet<string> }

const none: ReadonlySet<string> = new Set()

const unversioned = (reference: string): string => reference.replace(/\/_history\/.*$/, '')
