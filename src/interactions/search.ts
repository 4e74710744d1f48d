/**
 * FHIR search interaction: one type, a compartment, or the whole system; a page at a time.
 *
 * https://hl7.org/fhir/R4/http.html#search
 */
import { isUnlimited, reach } from '../access/index.js'
import { forbidden, tooCostly } from '../fhir/index.js'
import { type Parsed, type Position, parse, type SearchRequest } from '../search/index.js'
import type { Found } from '../store/index.js'
import { auditSearch, isOfAudit } from './audit-search.js'
import { audited } from './audited.js'
import type { Context, SearchResult } from './context.js'
import { pageState, pageToken } from './page.js'
import { searchAnswered, searchEvent } from './search-event.js'

/** With `page` (from the link of the page before) the token says all and the rest of the request is not read. */
export const search = audited(
  {
    asked: (context, request: SearchRequest & { page?: string }) => searchEvent(context, request),
    answered: searchAnswered,
  },
  searchNow,
)

async function searchNow(context: Context, request: SearchRequest & { page?: string }): Promise<SearchResult> {
  const { page, ...first } = request
  const mine = reach(context.caller, 'search', request.types?.length === 1 ? request.types[0] : undefined)
  const resume =
    page === undefined
      ? { asked: first, now: context.clock() }
      : resumed(await pageState(context, 'search', mine, page))
  const { asked, now } = resume
  const parsed = await understand(context, resume)
  if (isOfAudit(parsed.query, asked)) return auditSearch(context, parsed, { asked, now })
  const found = await context.store.search(parsed.query, mine)
  // How a store goes about it depends on how much there is, also of what is hidden.
  if (parsed.explain && !isUnlimited(context.caller))
    throw forbidden('_explain is for those who operate the server; leave it out')
  const plan = parsed.explain ? await context.store.explain(parsed.query, mine) : undefined
  const { includesMax } = context.settings
  const includes = found.matches.reduce((sum, { mode }) => (mode === 'include' ? sum + 1 : sum), 0)
  if (includes > includesMax)
    throw tooCostly(`the page includes more than ${includesMax} resources; ask for a smaller _count or fewer includes`)
  const result: SearchResult = { found: withTotal(found, parsed), parsed, ...(plan && { plan }) }
  if (!found.next || parsed.query.count === 0) return result
  const { types, compartment } = asked
  const state = {
    t: types ?? null,
    c: compartment ? [compartment.type, compartment.id] : null,
    p: parsed.applied,
    n: now,
    a: found.next,
  }
  return { ...result, next: await pageToken(context, 'search', mine, state) }
}

/** Where all matches stand on the first page their number is known without counting; `_total=none` wants none. */
function withTotal(found: Found, { query, applied }: Parsed): Found {
  if (found.next || found.total !== undefined || query.after || query.count === 0) return found
  if (applied.some(([name, value]) => name === '_total' && value === 'none')) return found
  return { ...found, total: found.matches.reduce((sum, { mode }) => (mode === 'match' ? sum + 1 : sum), 0) }
}

/** `now` is that of the first page, so that all pages measure from the same time. */
type Resume = { asked: SearchRequest; now: number; after?: Position }

async function understand(context: Context, { asked, now, after }: Resume): Promise<Parsed> {
  const { searchParams, terminology, baseUrls, settings } = context
  // What is resumed was understood once already; nothing of it may be ignored now.
  const handling = after ? 'strict' : settings.handling
  const parsed = await parse(asked, { searchParams, terminology, baseUrls, now, ...settings, handling })
  return after ? { ...parsed, query: { ...parsed.query, after } } : parsed
}

/** What `search` sealed. Only we can have made it, so its shape is what we gave it. */
function resumed(state: unknown): Resume {
  const { t, c, p, n, a } = state as {
    t: string[] | null
    c: [type: string, id: string] | null
    p: [string, string][]
    n: number
    a: Position
  }
  return {
    asked: { ...(t && { types: t }), ...(c && { compartment: { type: c[0], id: c[1] } }), parameters: p },
    now: n,
    after: a,
  }
}
