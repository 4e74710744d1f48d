/**
 * The order a search asks for, and what comes after a place in it.
 *
 * https://hl7.org/fhir/R4/search.html#sort
 *
 * Values that are missing come last either way. Descending, the server's own order says so; ascending it would put them
 * first, so that a flag goes before the value.
 */
import type { Document } from 'mongodb'
import type { Position, Sort } from '../../search/index.js'
import { dateParam } from '../timeline.js'
import { keyName } from './document.js'
import type { Filter } from './filter.js'

/** `path` is where the value lies in a document; `computed` where it must be found in a list of two first. */
type Key = { path: string; computed?: Document; descending: boolean; whole: boolean; prefix: string }

export class Order {
  private readonly keys: Key[]

  constructor(
    type: string,
    sort: readonly Sort[],
    readonly tenant: string,
  ) {
    this.keys = sort.map(({ param, descending }, i) => {
      if (param === '_id') return { path: '_id', descending, whole: true, prefix: `${tenant}/` }
      if (param === '_lastUpdated') return { path: 'lu', descending, whole: true, prefix: '' }
      if (descending && param === dateParam(type)) return { path: 'date1', descending, whole: false, prefix: '' }
      const computed = { [descending ? '$max' : '$min']: `$s.${keyName(param)}` }
      return { path: `q${i}`, computed, descending, whole: false, prefix: '' }
    })
  }

  /** The one order that indexes have besides that of creation. */
  get only(): 'updated' | 'dated' | undefined {
    const [key, ...more] = this.keys
    if (!key?.descending || more.length) return undefined
    return key.path === 'lu' ? 'updated' : key.path === 'date1' ? 'dated' : undefined
  }

  /** The stages that find what comes after a place and sort it; after them the first are taken. */
  stages(filter: Filter, after: Position | undefined): Document[] {
    const fields: Document = {}
    const sort: Document = {}
    for (const [i, { path, computed, descending, whole }] of this.keys.entries()) {
      if (computed) fields[path] = computed
      if (!whole && !descending) {
        const value = computed ?? `$${path}`
        fields[`n${i}`] = { $eq: [{ $ifNull: [value, null] }, null] }
        sort[`n${i}`] = 1
      }
      if (!(path in sort)) sort[path] = descending ? -1 : 1
    }
    sort['o'] = 1
    const beyond = after && this.after(after)
    const added = Object.keys(fields).length > 0
    return [
      { $match: beyond && !added ? { $and: [filter, beyond] } : filter },
      ...(added ? [{ $addFields: fields }, ...(beyond ? [{ $match: beyond }] : [])] : []),
      { $sort: sort },
    ]
  }

  /** The keys of a row, under names of their own. */
  projection(): Document {
    return Object.fromEntries(this.keys.map(({ path }, i) => [`q${i}`, `$${path}`]))
  }

  keysOf(row: Document): Position {
    return this.keys.map(({ prefix }, i) => {
      const value: unknown = row[`q${i}`]
      if (typeof value === 'string') return value.slice(prefix.length)
      return typeof value === 'number' ? value : null
    })
  }

  /** The order of merged collections: by the keys under their own names. */
  merged(): Document[] {
    const flags: Document = {}
    const sort: Document = {}
    for (const [i, { descending }] of this.keys.entries()) {
      if (!descending) {
        flags[`n${i}`] = { $eq: [{ $ifNull: [`$q${i}`, null] }, null] }
        sort[`n${i}`] = 1
      }
      sort[`q${i}`] = descending ? -1 : 1
    }
    sort['o'] = 1
    return [...(Object.keys(flags).length ? [{ $addFields: flags }] : []), { $sort: sort }]
  }

  private after(place: Position): Filter {
    const o = place.at(-1) as number
    const alternatives = this.keys.flatMap(({ path, descending, prefix }, i): Filter[] => {
      const key = place[i]!
      if (key === null) return []
      const value = typeof key === 'string' ? prefix + key : key
      const further: Filter[] = [{ [path]: descending ? { $lt: value } : { $gt: value } }, { [path]: null }]
      // Numbers come before texts; a comparison sees its own kind alone.
      if (typeof key === 'number' && !descending) further.push({ [path]: { $type: 'string' } })
      if (typeof key === 'string' && descending) further.push({ [path]: { $type: 'number' } })
      return [{ $and: [...this.equal(place, i), { $or: further }] }]
    })
    const same = { $and: [...this.equal(place, this.keys.length), { o: { $gt: o } }] }
    return alternatives.length ? { $or: [...alternatives, same] } : this.keys.length ? same : { o: { $gt: o } }
  }

  private equal(place: Position, count: number): Filter[] {
    return this.keys.slice(0, count).map(({ path, prefix }, i) => {
      const key = place[i]!
      return { [path]: typeof key === 'string' ? prefix + key : key }
    })
  }
}
