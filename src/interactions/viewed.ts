/**
 * The store as a role sees it that does not see all of each resource: the elements are left out of whatever is read, and
 * nobody can find, sort or follow by them.
 *
 * https://hl7.org/fhir/R4/resource.html#simple-tags
 *
 * Each such resource is marked as SUBSETTED, whether or not it had one of the elements: the mark says who asks, not
 * what was there.
 */
import type { View, Views } from '../access/index.js'
import { forbidden, parseJson, type Resource, writeJson } from '../fhir/index.js'
import type { Expression, Query } from '../search/index.js'
import type { Found, Store, Stored } from '../store/index.js'
import { subsetted } from './subset.js'

const known = new WeakMap<Store, WeakMap<Views, Store>>()

/** The same for all callers of a role, so that they still take turns. */
export function viewed(store: Store, views: Views | undefined): Store {
  if (!views) return store
  const byViews = known.get(store) ?? new WeakMap<Views, Store>()
  known.set(store, byViews)
  const made = byViews.get(views) ?? limited(store, views)
  byViews.set(views, made)
  return made
}

function limited(store: Store, views: Views): Store {
  const part = (stored: Stored): Stored => {
    const view = views.get(stored.type)
    return view && stored.body.length ? { ...stored, body: without(stored.body, view) } : stored
  }
  const parts = ({ matches, ...found }: Found): Found => ({
    ...found,
    matches: matches.map((match) => ({ ...match, stored: part(match.stored) })),
  })
  return {
    read: async (ref, reach, version) => {
      const stored = await store.read(ref, reach, version)
      return stored && part(stored)
    },
    search: async (query, reach) => {
      refuseHidden(query, views)
      return parts(await store.search(query, reach))
    },
    history: async (query, reach) => parts(await store.history(query, reach)),
    commit: async (commit) => (await store.commit(commit)).map((each) => ({ ...each, stored: part(each.stored) })),
    changes: (after, limit) => store.changes(after, limit),
    watch: (listener) => store.watch(listener),
    explain: (query, reach) => store.explain(query, reach),
    secrets: store.secrets,
    audit: store.audit,
    maintenance: store.maintenance,
  }
}

function without(body: Buffer, view: View): Buffer {
  const kept = Object.entries(parseJson(body) as Resource).filter(([name]) => !view.without.has(name))
  return Buffer.from(writeJson(subsetted(Object.fromEntries(kept) as Resource)))
}

/** @throws FhirError where the query asks for what would be left out of its answer */
function refuseHidden({ types, where, sort, include }: Query, views: Views): void {
  const searched = types ?? [...views.keys()]
  for (const type of searched) {
    refuseIn(where, type, views)
    for (const { param } of sort) refuseParam(param, type, views)
  }
  for (const { type, param } of include)
    for (const each of type === '*' ? views.keys() : [type]) refuseParam(param, each, views)
}

function refuseIn(where: Expression, type: string, views: Views): void {
  switch (where.op) {
    case 'everything':
    case 'nothing':
    case 'ids':
      return
    case 'and':
    case 'or':
      for (const each of where.of) refuseIn(each, type, views)
      return
    case 'not':
      refuseIn(where.of, type, views)
      return
    case 'typed':
      if (Object.hasOwn(where.of, type)) refuseIn(where.of[type]!, type, views)
      return
    case 'chain':
      refuseParam(where.param, type, views)
      for (const each of where.types) refuseIn(where.of, each, views)
      return
    case 'has':
      refuseParam(where.param, where.type, views)
      refuseIn(where.of, where.type, views)
      return
    default:
      refuseParam(where.param, type, views)
  }
}

function refuseParam(param: string, type: string, views: Views): void {
  const view = views.get(type)
  // What begins with a colon is the server's own.
  if (!view || param.startsWith(':')) return
  const code = param.split(':', 1)[0]!
  if (!view.searchable.has(code))
    throw forbidden(`your role does not see all of a ${type}, and cannot search it by "${code}"`)
}
