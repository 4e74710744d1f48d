/**
 * From a change to the document that is stored of it.
 *
 * https://www.mongodb.com/docs/manual/data-modeling/design-patterns/group-data/attribute-pattern/
 */
import { Decimal128, type Document } from 'mongodb'
import { Decimal, type Json, parseJson, type Ref } from '../../fhir/index.js'
import { compareKeys, type IndexEntry, sortKeyOf } from '../../search/index.js'
import { dateParam } from '../timeline.js'
import { pointOf } from './positions.js'
import type { VersionDocument } from './stored.js'
import { alive, named, Tokens, token } from './tokens.js'

/** The values by which a resource is sorted: `a` ascending, `z` descending. */
type Keys = Record<string, { a: string | number; z: string | number }>

/** What search knows of a resource. */
export type Searchable = {
  k: string[]
  x: string[]
  d: { p: string; lo: number; hi: number }[]
  c?: Document[]
  g?: Document[]
  s: Keys
  /** The date by which a patient's resources are kept in order; the newest is asked for most. */
  date1?: number
  /** The patient it is about, when there is but one. */
  pat1?: string
  /** Reserved: the class of those who may see it. */
  vis: string
}

/** `o` is the place in the order of creation, which a resource keeps. */
export type CurrentDocument = VersionDocument & Partial<Searchable> & { o: number; resource?: Document }

export function searchable(type: string, entries: readonly IndexEntry[], references: readonly Ref[]): Searchable {
  const tokens = new Tokens()
  tokens.k.add(alive)
  const composites: Document[] = []
  const places: Document[] = []
  const keys: Keys = {}
  const patients = new Set<string>()
  for (const entry of entries) {
    tokens.k.add(named(entry.param))
    tokens.add(entry)
    keep(keys, entry)
    if (entry.kind === 'composite') composites.push(compositeOf(entry, tokens))
    if (entry.kind === 'position') places.push({ p: named(entry.param), ...pointOf(entry) })
    if (entry.kind === 'reference' && entry.type === 'Patient') patients.add(entry.id)
  }
  for (const { type, id } of references) tokens.x.add(token.link(`${type}/${id}`))
  const date1 = dateParam(type)
  const date = date1 === undefined ? undefined : keys[keyName(date1)]?.z
  return {
    k: [...tokens.k],
    x: [...tokens.x],
    d: [...tokens.d.values()],
    ...(composites.length && { c: composites }),
    ...(places.length && { g: places }),
    s: keys,
    ...(typeof date === 'number' && { date1: date }),
    ...(patients.size === 1 && { pat1: `Patient/${[...patients][0]}` }),
    vis: '',
  }
}

/** Components by themselves, and their exact values in the index under the name of the composite. */
function compositeOf({ param, components }: Extract<IndexEntry, { kind: 'composite' }>, tokens: Tokens): Document {
  const p = named(param)
  const occurrence: Document = { p }
  for (const [i, entries] of components.entries()) {
    const of = new Tokens()
    for (const entry of entries) of.add(entry)
    occurrence[`c${i}`] = { k: [...of.k], x: [...of.x], d: [...of.d.values()] }
    for (const text of of.k) tokens.x.add(`${p}${text}`)
  }
  return occurrence
}

/** A parameter as the name of a member, where dots and dollars mean something else. */
export const keyName = (param: string): string => named(param).replaceAll('.', '%2e').replaceAll('$', '%24')

function keep(keys: Keys, entry: IndexEntry): void {
  const a = sortKeyOf(entry, false)
  const z = sortKeyOf(entry, true)
  if (a === undefined || z === undefined) return
  const name = keyName(entry.param)
  const known = Object.hasOwn(keys, name) ? keys[name] : undefined
  const value = {
    a: known && compareKeys(known.a, a) <= 0 ? known.a : a,
    z: known && compareKeys(known.z, z) >= 0 ? known.z : z,
  }
  // A parameter may be called __proto__.
  Object.defineProperty(keys, name, { value, enumerable: true, configurable: true, writable: true })
}

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
