/**
 * The record of patients or of an encounter as $everything answers it: whole, piece by piece, or in pages.
 *
 * https://hl7.org/fhir/R4/patient-operation-everything.html
 *
 * In pages it comes portion by portion of the patients: first what belongs to them, then what that refers to, in the
 * order of type and id.
 */
import type { Position } from '../search/index.js'
import type { Match } from '../store/index.js'
import { audited, auditedStream, type Event, perPatient } from './audited.js'
import type { Context } from './context.js'
import { belonging, type Portion, portion, type Scope, withSupport } from './record.js'

/** Each piece is handed out once the log has the patients in it. */
export const wholeRecord = auditedStream(recordEvent, pieces)

/** Up to `count` resources from a place on; `next` is where more are. */
export const recordPage = audited(
  {
    asked: (_context, scope: Scope, _place: RecordPlace, _count: number) => recordEvent(_context, scope),
    answered: ({ matches }: RecordPage, event) =>
      perPatient(
        event,
        matches.map(({ stored }) => stored),
      ),
  },
  page,
)

/** Where a page begins: after a place among the portions, and within the portion after a match or a supporter. */
export type RecordPlace = { portion?: Position; match?: Position; support?: string }

export type RecordPage = { matches: Match[]; next?: RecordPlace }

function recordEvent(_context: Context, { type, ids }: Scope): Event {
  const named = ids === 'all' ? [] : ids
  return {
    what: 'operation',
    operation: 'everything',
    data: named.length === 1 ? [`${type}/${named[0]}`] : [type],
    ...(type === 'Patient' && named.length === 1 && { patients: named }),
  }
}

async function* pieces(context: Context, scope: Scope): AsyncGenerator<Match[]> {
  const seen = new Set<string>()
  let after: Position | undefined
  do {
    const { ids, next } = await portion(context, scope, after)
    if (ids.length) yield* withSupport(context, scope, ids, seen)
    after = next
  } while (after)
}

async function page(context: Context, scope: Scope, from: RecordPlace, count: number): Promise<RecordPage> {
  const matches: Match[] = []
  let place: RecordPlace | undefined = from
  while (place && matches.length < count) {
    const part = await portion(context, scope, place.portion)
    const step: Step = await take(context, scope, part, place, count - matches.length)
    matches.push(...step.matches)
    place = step.next
  }
  return { matches, ...(place && { next: place }) }
}

type Step = { matches: Match[]; next: RecordPlace | undefined }

async function take(context: Context, scope: Scope, part: Portion, place: RecordPlace, count: number): Promise<Step> {
  const here = place.portion && { portion: place.portion }
  if (place.support === undefined) {
    const { matches, next } = await belonging(context, scope, part.ids, count, place.match)
    return { matches, next: next ? { ...here, match: next } : { ...here, support: '' } }
  }
  const { support: after } = place
  const supporters = new Map<string, Match>()
  for await (const found of withSupport(context, scope, part.ids, new Set()))
    for (const match of found)
      if (match.mode === 'include') supporters.set(`${match.stored.type}/${match.stored.id}`, match)
  const keys = [...supporters.keys()].filter((key) => key > after).sort()
  const taken = keys.slice(0, count)
  const more = keys.length > taken.length
  return {
    matches: taken.map((key) => supporters.get(key)!),
    next: more ? { ...here, support: taken.at(-1)! } : part.next && { portion: part.next },
  }
}
