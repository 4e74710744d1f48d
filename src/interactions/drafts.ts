/**
 * The resources of a transaction that are not stored yet, found by criteria as if they were.
 *
 * https://hl7.org/fhir/R4/http.html#trules
 */
import type { Resource } from '../fhir/index.js'
import { type Expression, type IndexEntry, indexed, match } from '../search/index.js'
import type { Breathe } from './breathe.js'
import type { Context } from './context.js'

export type Draft = { type: string; id: string; resource: Resource }

type Indexed<T> = { draft: T; entries: IndexEntry[] }
type Shelf<T> = { all: Indexed<T>[]; byKey: Map<string, Indexed<T>[]> }

export class Drafts<T extends Draft> {
  private readonly byType = new Map<string, T[]>()
  private readonly shelves = new Map<string, Promise<Shelf<T>>>()

  constructor(
    private readonly context: Context,
    drafts: Iterable<T>,
    private readonly breathe: Breathe,
  ) {
    for (const draft of drafts) add(this.byType, draft.type, draft)
  }

  /** Those that satisfy the criteria, as far as that can be told before their links are resolved. */
  async matching(type: string, where: Expression): Promise<T[]> {
    const drafts = this.byType.get(type)
    if (!drafts) return []
    const shelf = this.shelves.get(type) ?? this.shelve(drafts)
    this.shelves.set(type, shelf)
    const { all, byKey } = await shelf
    // Criteria are nearly always an identifier: looking it up keeps a transaction of thousands linear.
    const key = keyOf(where)
    const candidates = key === undefined ? all : (byKey.get(key) ?? [])
    const updated = this.context.clock()
    return candidates
      .filter(({ draft, entries }) => match({ type, id: draft.id, updated, entries }, where))
      .map(({ draft }) => draft)
  }

  private async shelve(drafts: T[]): Promise<Shelf<T>> {
    const { searchParams, baseUrls, settings } = this.context
    const shelf: Shelf<T> = { all: [], byKey: new Map() }
    for (const draft of drafts) {
      await this.breathe()
      const each = { draft, entries: indexed(draft.resource, { searchParams, zone: settings.zone, baseUrls }) }
      shelf.all.push(each)
      for (const key of new Set(each.entries.map(keyOfEntry))) if (key !== undefined) add(shelf.byKey, key, each)
    }
    return shelf
  }
}

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key)
  if (list) list.push(value)
  else lists.set(key, [value])
}

/** What an entry must equal in any case for the criteria to hold, if there is such a thing. */
function keyOf(where: Expression): string | undefined {
  switch (where.op) {
    case 'and':
      for (const each of where.of) {
        const key = keyOf(each)
        if (key !== undefined) return key
      }
      return undefined
    case 'token':
      return where.code === undefined ? undefined : keyFor(where.param, where.code)
    case 'uri':
      return where.how === 'exact' ? keyFor(where.param, where.value) : undefined
    case 'reference':
      return 'url' in where.target ? undefined : keyFor(where.param, `${where.target.type}/${where.target.id}`)
    default:
      return undefined
  }
}

function keyOfEntry(entry: IndexEntry): string | undefined {
  switch (entry.kind) {
    case 'token':
      return entry.code === undefined ? undefined : keyFor(entry.param, entry.code)
    case 'uri':
      return keyFor(entry.param, entry.value)
    case 'reference':
      return keyFor(entry.param, `${entry.type}/${entry.id}`)
    default:
      return undefined
  }
}

const keyFor = (param: string, value: string) => `${param} ${value}`
