/**
 * What a prefix asks of recorded intervals, in SQL for an index and as a function for one resource.
 *
 * https://hl7.org/fhir/R4/search.html#prefix
 */
import type { Prefix } from '../../search/index.js'
import { all, type Sql, sql } from './sql.js'

export type Asked = { prefix: Prefix; lo: number; hi: number }

/**
 * `widthMax`: no interval of the series is wider, which bounds where one that began before a moment may end. Recorded
 * intervals lie in the order of their upper ends (most people ask for the newest), so ranges are ranges of `high`.
 */
export function condition({ prefix, lo, hi }: Asked, low: Sql, high: Sql, widthMax: number): Sql {
  const until = (end: number) => (Number.isFinite(widthMax) ? [sql`${high} <= ${end}`] : [])
  switch (prefix) {
    case 'eq':
      return sql`${high} >= ${lo} AND ${high} <= ${hi} AND ${low} >= ${lo}`
    case 'ne':
      return sql`NOT (${low} >= ${lo} AND ${high} <= ${hi})`
    case 'gt':
      return sql`${high} > ${hi}`
    case 'lt':
      return all([...until(lo + widthMax), sql`${low} < ${lo}`])
    case 'ge':
      return sql`${high} >= ${Math.min(lo, hi)} AND (${high} > ${hi} OR (${low} >= ${lo} AND ${high} <= ${hi}))`
    case 'le':
      return all([
        ...until(Math.max(hi, lo + widthMax)),
        sql`(${low} < ${lo} OR (${low} >= ${lo} AND ${high} <= ${hi}))`,
      ])
    case 'sa':
      return sql`${high} > ${hi} AND ${low} > ${hi}`
    case 'eb':
      return sql`${high} < ${lo}`
    case 'ap':
      return all([sql`${high} >= ${lo}`, ...until(hi + widthMax), sql`${low} <= ${hi}`])
  }
}

export function passes({ prefix, lo, hi }: Asked): (l: number, h: number) => boolean {
  const within = (l: number, h: number) => lo <= l && h <= hi
  switch (prefix) {
    case 'eq':
      return within
    case 'ne':
      return (l, h) => !within(l, h)
    case 'gt':
      return (_, h) => h > hi
    case 'lt':
      return (l) => l < lo
    case 'ge':
      return (l, h) => h > hi || within(l, h)
    case 'le':
      return (l, h) => l < lo || within(l, h)
    case 'sa':
      return (l) => l > hi
    case 'eb':
      return (_, h) => h < lo
    case 'ap':
      return (l, h) => l <= hi && lo <= h
  }
}
