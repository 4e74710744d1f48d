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

type Key = { path: string; descending: boolean; whole: boolean; prefix: string }

export class Order {
  private readonly keys: Key[]

  constructor(
    type: string,
    sort: readonly Sort[],
    readonly tenant: string,
  ) {
    this.keys = sort.map(({ param, descending }) => {
      if (param === '_id') return { path: '_id', descending, whole: true, prefix: `${tenant}/` }
      if (param === '_lastUpdated') return { path: 'lu', descending, whole: true, prefix: '' }
      const path = descending && param === dateParam(type) ? 'date1' : `s.${keyName(param)}.${descending ? 'z' : 'a'}`
      return { path, descending, whole: false, prefix: '' }
    })
  }

  /** The stages that sort; before them what the filter finds, after them the first are taken. */
  stages(): Document[] {
    const flags: Document = {}
    const sort: Document = {}
    for (const [i, { path, descending, whole }] of this.keys.entries()) {
      if (!whole && !descending) {
        flags[`n${i}`] = { $eq: [{ $ifNull: [`$${path}`, null] }, null] }
        sort[`n${i}`] = 1
      }
      if (!(path in sort)) sort[path] = descending ? -1 : 1
    }
    sort['o'] = 1
    return [...(Object.keys(flags).length ? [{ $addFields: flags }] : []), { $sort: sort }]
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

  /** What comes after a place. */
  after(place: Position): Filter {
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
