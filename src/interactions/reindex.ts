/**
 * Visits every resource of some types and replaces what search knows of it, a little at a time.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import { setImmediate } from 'node:timers/promises'
import { type JsonObject, parseJson, type Resource } from '../fhir/index.js'
import { type IndexEntry, indexed } from '../search/index.js'
import type { Stored } from '../store/index.js'
import type { Context } from './context.js'

/** A chunk keeps others waiting for some 20 ms. */
const chunk = 100

/** A place in the work: everything before it is done. */
export type ReindexPlace = { type: string; after: number; visited: number }

export type ReindexContext = Pick<Context, 'store' | 'searchParams' | 'settings' | 'baseUrls'>

/** The index entries of a stored resource, as a write of it would make them now. */
export function entriesOf({ searchParams, settings, baseUrls }: ReindexContext, body: Buffer): IndexEntry[] {
  return indexed(parseJson(body) as JsonObject as Resource, { searchParams, zone: settings.zone, baseUrls })
}

/**
 * Works through the types in their order, beginning at `from`; yields after each chunk where to go on. `context` is
 * asked anew for each chunk, because parameters may come and go meanwhile.
 */
export async function* reindexed(
  context: () => ReindexContext,
  types: readonly string[],
  from?: ReindexPlace,
): AsyncGenerator<ReindexPlace> {
  let visited = from?.visited ?? 0
  for (const type of from ? types.slice(types.indexOf(from.type)) : types) {
    let after: number | undefined = from?.type === type ? from.after : 0
    while (after !== undefined) {
      const now = context()
      after = await now.store.maintenance.reindex(type, after, chunk, ({ body }: Stored) => {
        visited++
        return entriesOf(now, body)
      })
      if (after !== undefined) yield { type, after, visited }
      await setImmediate()
    }
    const next = types[types.indexOf(type) + 1]
    yield next === undefined ? { type, after: Number.MAX_SAFE_INTEGER, visited } : { type: next, after: 0, visited }
  }
}
