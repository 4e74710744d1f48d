/**
 * What the suites for stores stand on: an engine under test, and changes made in a line.
 */

import { type Ref, type Resource, serialize } from '../fhir/index.js'
import { type Expression, everything, type IndexEntry, type Query, type Reach } from '../search/index.js'
import { grantReach } from '../search/reach.js'
import type { Change, Database, Expect, Found, Put, Store } from './store.js'

/** A store with nothing in it, that can be closed and opened again on the same data. */
export type Home = { store: Alone; reopen(): Promise<Alone>; dispose(): Promise<void> }

/** A database of which only one tenant is looked at. */
export type Alone = Store & Pick<Database, 'backup' | 'health' | 'close'> & { database: Database }

export async function alone(opening: Promise<Database>): Promise<Alone> {
  const database = await opening
  return {
    ...database.tenant('default'),
    database,
    backup: (path) => database.backup(path),
    health: () => database.health(),
    close: () => database.close(),
  }
}

/** `skip`: cases by name that the engine does not take part in, each with the reason. */
export type Engine = {
  name: string
  open(options?: { clock?: () => number; includesMax?: number }): Promise<Home>
  /** Opens what `maintenance.backup` wrote. */
  restore(path: string): Promise<Alone>
  skip?: Record<string, string>
}

export const all: Reach = grantReach(() => everything, 'everything')

/** A reach by type; types that are not named are out of it. */
export const reachOf = (of: Record<string, Expression>, otherwise: Expression = { op: 'nothing' }): Reach =>
  grantReach((type) => (Object.hasOwn(of, type) ? of[type]! : otherwise), 'some')

export const refOf = (text: string): Ref => {
  const [type, id] = text.split('/')
  return { type: type!, id: id! }
}

export type Given = {
  method?: Put['method']
  content?: { [key: string]: string }
  entries?: IndexEntry[]
  references?: string[]
  expect?: Expect
}

export function put(
  name: string,
  { method = 'PUT', content = {}, entries = [], references = [], expect }: Given = {},
): Put {
  const ref = refOf(name)
  const resource: Resource = { resourceType: ref.type, ...content }
  return {
    op: 'put',
    ...ref,
    method,
    serialized: serialize(resource, ref.id),
    entries,
    references: references.map(refOf),
    ...(expect && { expect }),
  }
}

export const drop = (name: string, expect?: Expect): Change => ({
  op: 'delete',
  ...refOf(name),
  ...(expect && { expect }),
})

export const commit = (store: Store, ...changes: Change[]) => store.commit({ changes, integrity: true })

export const query = (
  types: string[] | undefined,
  where: Expression = everything,
  more: Partial<Query> = {},
): Query => ({
  ...(types && { types }),
  where,
  sort: [],
  include: [],
  count: 1000,
  total: false,
  ...more,
})

/** `Patient/1`, and in parentheses what was included. */
export const namesOf = ({ matches }: Found): string[] =>
  matches.map(({ stored: { type, id }, mode }) => (mode === 'include' ? `(${type}/${id})` : `${type}/${id}`))

export const token = (param: string, code: string, system?: string): IndexEntry => ({
  kind: 'token',
  param,
  code,
  ...(system !== undefined && { system }),
})

export const reference = (param: string, name: string): IndexEntry => ({ kind: 'reference', param, ...refOf(name) })
