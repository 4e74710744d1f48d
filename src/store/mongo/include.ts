/**
 * What a page brings along: resources its matches refer to, and resources that refer to them.
 *
 * https://hl7.org/fhir/R4/search.html#include
 *
 * One command a level. `:iterate` goes on from what was included last, until nothing is new. Only what the caller may
 * see of each type is included.
 */
import type { Include } from '../../search/index.js'
import { StoreLimit } from '../store.js'
import type { Filter } from './filter.js'
import { type Plan, referringBy } from './plan.js'
import type { Part, Reader } from './reader.js'
import type { PageRow, Types } from './search.js'
import { versionFields } from './stored.js'
import { named, referenceOf, token } from './tokens.js'

/** @returns what is included, in order of creation. @throws StoreLimit */
export async function included(
  reader: Reader,
  plan: Plan,
  types: Types,
  matches: readonly PageRow[],
  includes: readonly Include[],
  includesMax: number,
): Promise<PageRow[]> {
  const known = new Set(matches.map(nameOf))
  const found: PageRow[] = []
  let frontier: readonly PageRow[] = matches
  let asked: readonly Include[] = includes
  while (frontier.length && asked.length) {
    const parts = await partsOf(reader, plan, types, frontier, asked, includesMax + known.size + 1)
    const added: PageRow[] = []
    for (const row of await reader.found<PageRow>(parts)) {
      if (known.has(nameOf(row))) continue
      if (found.length >= includesMax) throw new StoreLimit('includes', includesMax)
      known.add(nameOf(row))
      found.push(row)
      added.push(row)
    }
    frontier = added
    asked = includes.filter(({ iterate }) => iterate)
  }
  await reader.whole(found)
  return found.sort((a, b) => a.o - b.o)
}

const nameOf = ({ type, id }: { type: string; id: string }): string => `${type}/${id}`

async function partsOf(
  reader: Reader,
  plan: Plan,
  types: Types,
  frontier: readonly PageRow[],
  asked: readonly Include[],
  limit: number,
): Promise<Part[]> {
  const referred = new Map<string, Set<string>>()
  const referring = new Map<string, { any: Set<string>; by: Set<string> }>()
  for (const include of asked) {
    if (!include.reverse) {
      for (const { type, id } of targets(frontier, include)) addTo(referred, type, reader.key(id))
      continue
    }
    for (const type of include.type === '*' ? await types() : [include.type]) {
      const of = referring.get(type) ?? { any: new Set(), by: new Set() }
      referring.set(type, of)
      for (const row of frontier) {
        if (include.target !== undefined && row.type !== include.target) continue
        if (include.param === '*') of.any.add(token.link(nameOf(row)))
        else of.by.add(token.reference(include.param, nameOf(row)))
      }
    }
  }
  const parts: Part[] = []
  const add = async (type: string, of: Filter) => {
    const filter = await plan.among(type, of)
    if (!filter) return
    parts.push({
      type,
      stages: [
        { $match: filter },
        { $limit: limit },
        { $project: { ...versionFields, o: 1, _id: 0, q: 1, type: { $literal: type } } },
      ],
    })
  }
  for (const [type, ids] of referred) await add(type, { _id: { $in: [...ids] } })
  for (const [type, { any, by }] of referring) {
    if (any.size) await add(type, { k: { $in: [...any] } })
    if (by.size) await add(type, referringBy([...by]))
  }
  return parts
}

/** What the parameter of the frontier's resources of the include's type refers to. */
function* targets(frontier: readonly PageRow[], { type, param, target }: Include) {
  const name = param === '*' ? undefined : named(param)
  for (const row of frontier) {
    if (type !== '*' && row.type !== type) continue
    for (const text of row.q ?? []) {
      const reference = referenceOf(text)
      if (!reference || (name !== undefined && reference.param !== name)) continue
      if (target === undefined || reference.type === target) yield reference
    }
  }
}

function addTo(map: Map<string, Set<string>>, key: string, value: string): void {
  const of = map.get(key)
  if (of) of.add(value)
  else map.set(key, new Set([value]))
}
