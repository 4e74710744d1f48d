/**
 * FHIR search interaction: one type, a compartment, or the whole system; a page at a time.
 *
 * https://hl7.org/fhir/R4/http.html#search
 */
import { reach } from '../access/index.js'
import { tooCostly } from '../fhir/index.js'
import { type Parsed, type Position, parse, type SearchRequest } from '../search/index.js'
import type { Context, SearchResult } from './context.js'
import { seal, unseal } from './token.js'

/** With `page` (from the link of the page before) the token says all and the rest of the request is not read. */
export async function search(context: Context, request: SearchRequest & { page?: string }): Promise<SearchResult> {
  const mine = reach(context.caller, 'search')
  const { page, ...first } = request
  const { asked, after } =
    page === undefined ? { asked: first, after: undefined } : resumed(unseal(context, 'search', mine, page))
  const parsed = await understand(context, asked, after)
  const found = await context.store.search(parsed.query, mine)
  const { includesMax } = context.settings
  const includes = found.matches.reduce((sum, { mode }) => (mode === 'include' ? sum + 1 : sum), 0)
  if (includes > includesMax)
    throw tooCostly(`the page includes more than ${includesMax} resources; ask for a smaller _count or fewer includes`)
  if (!found.next) return { found, parsed }
  const { types, compartment } = asked
  const state = {
    t: types ?? null,
    c: compartment ? [compartment.type, compartment.id] : null,
    p: parsed.applied,
    a: found.next,
  }
  return { found, parsed, next: seal(context, 'search', mine, state) }
}

async function understand(context: Context, request: SearchRequest, after: Position | undefined): Promise<Parsed> {
  const { searchParams, terminology, baseUrls, settings } = context
  // What is resumed was understood once already; nothing of it may be ignored now.
  const handling = after ? 'strict' : settings.handling
  const parsed = await parse(request, { searchParams, terminology, baseUrls, ...settings, handling })
  return after ? { ...parsed, query: { ...parsed.query, after } } : parsed
}

/** What `search` sealed. Only we can have made it, so its shape is what we gave it. */
function resumed(state: unknown): { asked: SearchRequest; after: Position } {
  const { t, c, p, a } = state as {
    t: string[] | null
    c: [type: string, id: string] | null
    p: [string, string][]
    a: Position
  }
  return {
    asked: { ...(t && { types: t }), ...(c && { compartment: { type: c[0], id: c[1] } }), parameters: p },
    after: a,
  }
}
