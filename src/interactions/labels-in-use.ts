/**
 * The labels of all resources the caller may see, and nothing else of them.
 *
 * https://hl7.org/fhir/R4/resource-operation-meta.html
 */
import { setImmediate } from 'node:timers/promises'
import { metaOf, reach } from '../access/index.js'
import type { JsonObject } from '../fhir/index.js'
import { not, or, type Position } from '../search/index.js'
import { audited } from './audited.js'
import type { Context } from './context.js'

/** Shows the meta of each resource that has labels to `take`; of one type, or of all. */
export const labelsInUse = audited(
  {
    asked: (_context, type: string | undefined, _take: (meta: JsonObject) => void) => ({
      what: 'operation',
      operation: 'meta',
      ...(type !== undefined && { data: [type] }),
    }),
  },
  visit,
)

/** Read in chunks, so that nobody waits for a large database. */
const chunk = 500

async function visit(context: Context, type: string | undefined, take: (meta: JsonObject) => void): Promise<void> {
  const where = or(...['_profile', '_tag', '_security'].map((param) => not({ op: 'missing', param })))
  const mine = reach(context.caller, 'search')
  let after: Position | undefined
  do {
    const query = { ...(type && { types: [type] }), where, sort: [], include: [], count: chunk, total: false }
    const { matches, next } = await context.store.search({ ...query, ...(after && { after }) }, mine)
    for (const { stored } of matches) take(metaOf(stored.body))
    after = next
    await setImmediate()
  } while (after)
}
