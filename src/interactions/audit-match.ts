/**
 * Which events of the audit log satisfy an expression.
 *
 * https://hl7.org/fhir/R4/auditevent.html#search
 *
 * The log knows time and keys only; the rest is decided event by event, by the matcher that stores agree with. Where
 * an expression leads to other resources, the store is asked about those that the events at hand refer to.
 */
import { isPatient, reach, server, storedEvents } from '../access/index.js'
import { unsupported } from '../fhir/index.js'
import { and, type Expression, indexed, match, or, type Reach, type Subject } from '../search/index.js'
import type { AuditRecord, Stored } from '../store/index.js'
import type { Context } from './context.js'

/** An event as FHIR shows it and as search sees it; `part` is its place among those of its record. */
export type Seen = { record: AuditRecord; part: number; stored: Stored; subject: Subject }

/** `fullText`: whether words are looked for, which costs more than all the rest; `only`: what it must be about or by. */
export function seenIn(
  { caller, baseUrls, searchParams, settings }: Context,
  record: AuditRecord,
  { fullText = false, only }: { fullText?: boolean; only?: string | undefined } = {},
): Seen[] {
  return storedEvents(record, baseUrls[0]!, { only, discreet: isPatient(caller) }).map(({ stored, resource }, part) => {
    const { type, id, updated } = stored
    const entries = indexed(resource, { searchParams, zone: settings.zone, baseUrls, fullText })
    return { record, part, stored, subject: { type, id, updated, entries } }
  })
}

/** Those of the events that satisfy the caller's reach and, within that, `where`. */
export async function eventsAmong(
  context: Context,
  events: readonly Seen[],
  within: Expression,
  where?: Expression,
): Promise<Seen[]> {
  // What decides about the caller may rest on what the caller does not see.
  const own = reach(server(context.caller.tenant, 'audit'), 'search')
  const reachable = await satisfying(context, events, within, own)
  return where ? satisfying(context, reachable, where, reach(context.caller, 'search')) : reachable
}

async function satisfying(
  context: Context,
  events: readonly Seen[],
  expression: Expression,
  through: Reach,
): Promise<Seen[]> {
  if (events.length === 0 || expression.op === 'everything') return [...events]
  const grounded = await ground(context, expression, events, through)
  return events.filter(({ subject }) => match(subject, grounded))
}

/** Whether an expression looks for words. */
export function looksForWords(expression: Expression): boolean {
  switch (expression.op) {
    case 'and':
    case 'or':
      return expression.of.some(looksForWords)
    case 'not':
      return looksForWords(expression.of)
    case 'typed':
      return Object.values(expression.of).some(looksForWords)
    default:
      return expression.op === 'text'
  }
}

/** The expression without chains: each is replaced by the references, of these events, that lead where it wants. */
async function ground(
  context: Context,
  expression: Expression,
  events: readonly Seen[],
  through: Reach,
): Promise<Expression> {
  const grounded = (each: Expression) => ground(context, each, events, through)
  switch (expression.op) {
    case 'and':
    case 'or':
      return { op: expression.op, of: await Promise.all(expression.of.map(grounded)) }
    case 'not':
      return { op: 'not', of: await grounded(expression.of) }
    case 'typed': {
      const own = Object.hasOwn(expression.of, 'AuditEvent') ? expression.of['AuditEvent'] : undefined
      return own ? grounded(own) : { op: 'nothing' }
    }
    case 'chain':
      return led(context, expression, events, through)
    case 'has':
      throw unsupported('AuditEvents cannot be searched by what refers to them')
    default:
      return expression
  }
}

async function led(
  context: Context,
  { param, types, of }: Extract<Expression, { op: 'chain' }>,
  events: readonly Seen[],
  through: Reach,
): Promise<Expression> {
  const asked = new Map<string, Set<string>>()
  for (const { subject } of events)
    for (const entry of subject.entries)
      if (entry.kind === 'reference' && entry.param === param && types.includes(entry.type))
        asked.set(entry.type, (asked.get(entry.type) ?? new Set()).add(entry.id))
  const found: Expression[] = []
  for (const [type, ids] of asked) {
    const where = and({ op: 'ids', ids: [...ids] }, of)
    const query = { types: [type], where, sort: [], include: [], count: ids.size, total: false }
    const { matches } = await context.store.search(query, through)
    for (const { stored } of matches) found.push({ op: 'reference', param, target: { type, id: stored.id } })
  }
  return or(...found)
}
