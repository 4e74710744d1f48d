/**
 * The resources of a transaction that are not stored yet, found by criteria as if they were.
 *
 * https://hl7.org/fhir/R4/http.html#trules
 */
import type { Resource } from '../fhir/index.js'
import { type Expression, type IndexEntry, indexed, match } from '../search/index.js'
import type { Context } from './context.js'

export type Draft = { type: string; id: string; resource: Resource }

type Indexed<T> = { draft: T; entries: IndexEntry[] }
type Shelf<T> = { all: Indexed<T>[]; byToken: Map<string, Indexed<T>[]> }

export class Drafts<T extends Draft> {
  private readonly byType = new Map<string, T[]>()
  private readonly shelves = new Map<string, Shelf<T>>()

  constructor(
    private readonly context: Context,
    drafts: Iterable<T>,
  ) {
    for (const draft of drafts) {
      const same = this.byType.get(draft.type)
      if (same) same.push(draft)
      else this.byType.set(draft.type, [draft])
    }
  }

  /** Those that satisfy the criteria, as far as that can be told before their links are resolved. */
  matching(type: string, where: Expression): T[] {
    const drafts = this.byType.get(type)
    if (!drafts) return []
    const { all, byToken } = this.shelf(type, drafts)
    // Criteria are nearly always an identifier: looking it up keeps a transaction of thousands linear.
    const token = tokenOf(where)
    const candidates = token === undefined ? all : (byToken.get(token) ?? [])
    const updated = this.context.clock()
    return candidates
      .filter(({ draft, entries }) => match({ type, id: draft.id, updated, entries }, where))
      .map(({ draft }) => draft)
  }

  private shelf(type: string, drafts: T[]): Shelf<T> {
    let shelf = this.shelves.get(type)
    if (!shelf) {
      const { searchParams, baseUrls, settings } = this.context
      const byToken = new Map<string, Indexed<T>[]>()
      const all = drafts.map((draft) => {
        const entries = indexed(draft.resource, { searchParams, zone: settings.zone, baseUrls })
        return { draft, entries }
      })
      for (const each of all)
        for (const entry of each.entries) {
          if (entry.kind !== 'token' || entry.code === undefined) continue
          const key = tokenKey(entry.param, entry.system ?? '', entry.code)
          const same = byToken.get(key)
          if (same) same.push(each)
          else byToken.set(key, [each])
        }
      shelf = { all, byToken }
      this.shelves.set(type, shelf)
    }
    return shelf
  }
}

const tokenKey = (param: string, system: string, code: string) => JSON.stringify([param, system, code])

/** A token with system and code that the criteria demand, if there is one. */
function tokenOf(where: Expression): string | undefined {
  if (where.op === 'and') {
    for (const each of where.of) {
      const key = tokenOf(each)
      if (key !== undefined) return key
    }
    return undefined
  }
  if (where.op !== 'token' || where.system === undefined || where.code === undefined) return undefined
  return tokenKey(where.param, where.system, where.code)
}
