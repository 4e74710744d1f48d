/**
 * From a change to the document that is stored of it.
 *
 * https://www.mongodb.com/docs/manual/data-modeling/design-patterns/group-data/attribute-pattern/
 */
import { type Binary, Decimal128, type Document } from 'mongodb'
import { Decimal, type Json, parseJson, type Ref } from '../../fhir/index.js'
import { compareKeys, type IndexEntry, sortKeyOf } from '../../search/index.js'
import { dateParam } from '../timeline.js'
import { pointOf } from './positions.js'
import type { VersionDocument } from './stored.js'
import { type Interval, mixed, named, Tokens, token } from './tokens.js'

/** The values by which a resource is sorted: one, or the smallest and the largest. */
type Keys = Record<string, string | number | [smallest: string | number, largest: string | number]>

/** What search knows of a resource; `Tokens` says what lies in which list. */
export type Searchable = {
  k: string[]
  x: string[]
  q: string[]
  d?: Interval[]
  /** Numbers of those tokens that many resources have, and of a patient alone and with each of them. */
  n?: number[]
  pt?: number[]
  c?: Document[]
  g?: Document[]
  s: Keys
  /** The date by which resources are kept in order; the newest is asked for most. */
  date1?: number
  /** The class of those who may see it: its custodian. */
  vis: string
}

/** `o` is the place in the order of creation, which a resource keeps. */
export type CurrentDocument<Bytes = Binary> = VersionDocument<Bytes> &
  Partial<Searchable> & { o: number; resource?: Document }

export function searchable(type: string, entries: readonly IndexEntry[], references: readonly Ref[]): Searchable {
  const tokens = new Tokens()
  const composites: Document[] = []
  const places: Document[] = []
  const keys: Bounds = new Map()
  for (const entry of entries) {
    tokens.add(entry)
    // What it is sorted by says that it is there.
    if (!keep(keys, entry)) tokens.q.add(named(entry.param))
    if (entry.kind === 'composite') composites.push(compositeOf(entry, tokens))
    if (entry.kind === 'position') places.push({ p: named(entry.param), ...pointOf(entry) })
  }
  for (const { type, id } of references) {
    const link = token.link(`${type}/${id}`)
    if (!tokens.k.has(link)) tokens.x.add(link)
  }
  const { n, pt } = tokens.numbers()
  const param = dateParam(type)
  const date = param === undefined ? undefined : keys.get(keyName(param))?.z
  const custodians = [...tokens.custodians]
  return {
    ...listsOf(tokens),
    k: [...tokens.k],
    x: [...tokens.x],
    q: [...tokens.q],
    ...(n.length && { n }),
    ...(pt.length && { pt }),
    ...(composites.length && { c: composites }),
    ...(places.length && { g: places }),
    s: keysOf(keys),
    ...(typeof date === 'number' && { date1: date }),
    vis: custodians.length > 1 ? mixed : (custodians[0] ?? ''),
  }
}

/** The lists that hold something. */
const listsOf = ({ k, x, q, d }: Tokens): Partial<Searchable> => ({
  ...(k.size && { k: [...k] }),
  ...(x.size && { x: [...x] }),
  ...(q.size && { q: [...q] }),
  ...(d.size && { d: [...d.values()] }),
})

/** Components by themselves, and their codes in the index under the name of the composite. */
function compositeOf({ param, components }: Extract<IndexEntry, { kind: 'composite' }>, tokens: Tokens): Document {
  const p = named(param)
  const occurrence: Document = { p }
  for (const [i, entries] of components.entries()) {
    const of = new Tokens()
    for (const entry of entries) of.add(entry)
    occurrence[`c${i}`] = listsOf(of)
    for (const text of of.k) tokens.x.add(`${p}${text}`)
  }
  return occurrence
}

/** A parameter as the name of a member, where dots and dollars mean something else. */
export const keyName = (param: string): string => named(param).replaceAll('.', '%2e').replaceAll('$', '%24')

type Bounds = Map<string, { a: string | number; z: string | number }>

/** Whether the resource is sorted by the entry. */
function keep(keys: Bounds, entry: IndexEntry): boolean {
  const a = sortKeyOf(entry, false)
  const z = sortKeyOf(entry, true)
  if (a === undefined || z === undefined) return false
  const name = keyName(entry.param)
  const known = keys.get(name)
  keys.set(name, {
    a: known && compareKeys(known.a, a) <= 0 ? known.a : a,
    z: known && compareKeys(known.z, z) >= 0 ? known.z : z,
  })
  return true
}

/** A parameter may be called __proto__, which this defines like any other. */
const keysOf = (keys: Bounds): Keys =>
  Object.fromEntries([...keys].map(([name, { a, z }]) => [name, a === z ? a : [a, z]]))

/** Documents nest 100 levels deep at most, of which ours takes one. */
const depthMax = 90

/** The resource as a document that people with a shell can query; undefined where it would nest too deep. */
export function readable(body: Buffer): Document | undefined {
  try {
    return converted(parseJson(body), 0) as Document
  } catch (error) {
    if (error instanceof TooDeep) return undefined
    throw error
  }
}

class TooDeep extends Error {}

function converted(value: Json, depth: number): unknown {
  if (depth > depthMax) throw new TooDeep()
  if (value instanceof Decimal) return decimal(String(value))
  if (Array.isArray(value)) return value.map((each) => converted(each, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, converted(each, depth + 1)]))
}

/** Exact where 34 digits are enough. */
function decimal(text: string): unknown {
  try {
    return Decimal128.fromString(text)
  } catch {
    return text
  }
}
