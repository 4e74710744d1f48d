/**
 * FHIR history interaction: the versions of a resource, of a type, or of all; newest first.
 *
 * https://hl7.org/fhir/R4/http.html#history
 */
import { reach, redacted } from '../access/index.js'
import { type Issue, invalid, notFound, period, unsupported } from '../fhir/index.js'
import type { Position } from '../search/index.js'
import type { Found, HistoryQuery } from '../store/index.js'
import { auditHistory } from './audit-read.js'
import { audited, type Event, eventOf } from './audited.js'
import type { Context } from './context.js'
import { pageState, pageToken } from './page.js'
import { historyAnswered } from './search-event.js'

export type HistoryRequest = {
  type?: string
  id?: string
  parameters: [name: string, value: string][]
  /** From the link of the page before; says all, the rest is not read. */
  page?: string
}

export type HistoryResult = {
  found: Found
  /** What was applied, for the self link. */
  applied: [name: string, value: string][]
  /** With lenient handling: what was not applied, and why. */
  ignored: Issue[]
  /** The sealed token of the next page. */
  next?: string
}

export const history = audited(
  {
    asked: historyEvent,
    answered: ({ found }: HistoryResult, event, _context, { type }) =>
      historyAnswered(
        event,
        found.matches.map(({ stored }) => stored),
        type,
      ),
  },
  historyNow,
)

function historyEvent({ searchParams }: Context, { type, id, parameters }: HistoryRequest): Event | undefined {
  if (type !== undefined && id !== undefined) return eventOf('history-instance', { type, id })
  const query = redacted(parameters, { types: type === undefined ? undefined : [type], searchParams })
  return {
    what: type === undefined ? 'history-system' : 'history-type',
    query: `${type === undefined ? '' : `${type}/`}_history?${query}`,
  }
}

async function historyNow(context: Context, request: HistoryRequest): Promise<HistoryResult> {
  if (request.type === 'AuditEvent') return auditHistory(context, request.id)
  const { page, ...first } = request
  // SMART counts the history of a type and of the system among searches.
  const mine = reach(context.caller, first.id === undefined ? 'search' : 'read', first.type)
  const { asked, after } =
    page === undefined ? { asked: first, after: undefined } : resumed(await pageState(context, 'history', mine, page))
  const { query, applied, ignored } = understand(context, asked)
  const found = await context.store.history(after ? { ...query, after } : query, mine)
  const { type, id } = asked
  if (type !== undefined && id !== undefined && !after && found.matches.length === 0)
    if (!(await context.store.read({ type, id }, mine))) throw notFound(`there is no ${type} with this id`)
  if (!found.next || query.count === 0) return { found, applied, ignored }
  const state = { t: type ?? null, i: id ?? null, p: applied, a: found.next }
  return { found, applied, ignored, next: await pageToken(context, 'history', mine, state) }
}

/** What `history` sealed. Only we can have made it, so its shape is what we gave it. */
function resumed(state: unknown): { asked: HistoryRequest; after: Position } {
  const { t, i, p, a } = state as { t: string | null; i: string | null; p: [string, string][]; a: Position }
  return { asked: { ...(t !== null && { type: t }), ...(i !== null && { id: i }), parameters: p }, after: a }
}

type Understood = { query: HistoryQuery; applied: [string, string][]; ignored: Issue[] }

function understand({ settings }: Context, { type, id, parameters }: HistoryRequest): Understood {
  const { zone, pageSize, pageSizeMax, handling } = settings
  const applied = new Map<string, string>()
  const ignored: Issue[] = []
  let since: number | undefined
  let at: HistoryQuery['at']
  let count = pageSize
  for (const [name, value] of parameters) {
    if (applied.has(name)) throw invalid(`${name} is there more than once`, name)
    switch (name) {
      case '_since':
        since = periodOf(name, value, zone).lo
        break
      case '_at':
        at = periodOf(name, value, zone)
        break
      case '_count':
        if (!/^\d{1,9}$/.test(value)) throw invalid('_count is a whole number', name)
        count = Math.min(Number(value), pageSizeMax)
        break
      case '_sort':
        // The order R4 demands; other orders came with R5.
        if (value !== '-_lastUpdated')
          throw unsupported('a history has the newest versions first: _sort=-_lastUpdated', name)
        break
      default: {
        const problem = unsupported(`a history has no parameter "${name}"; it has _since, _at and _count`, name)
        if (handling === 'strict') throw problem
        ignored.push(...problem.issues.map((issue): Issue => ({ ...issue, severity: 'warning' })))
        continue
      }
    }
    applied.set(name, name === '_count' ? String(count) : value)
  }
  return {
    query: {
      ...(type !== undefined && { type }),
      ...(id !== undefined && { id }),
      ...(since !== undefined && { since }),
      ...(at && { at }),
      count,
      // Counting a whole system's history would cost more than the page; that of one resource is short.
      total: id !== undefined || count === 0,
    },
    applied: [...applied],
    ignored,
  }
}

function periodOf(name: string, value: string, zone: string) {
  const found = period(value, zone)
  if (!found) throw invalid(`${name} is a date or an instant, such as 2024-05-01T08:00:00Z`, name)
  return found
}
