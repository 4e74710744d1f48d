/**
 * What a prefix asks of recorded intervals, in SQL for an index and as a function for one resource.
 *
 * https://hl7.org/fhir/R4/search.html#prefix
 */
import type { Prefix } from '../../search/index.js'
import { all, type Sql, sql } from './sql.js'

export type Asked = { prefix: Prefix; lo: number; hi: number }

/** `widthMax`: no interval of the series is wider, which bounds where one may begin. The first conditions are ranges. */
export function condition({ prefix, lo, hi }: Asked, low: Sql, high: Sql, widthMax: number): Sql {
  const from = (start: number) => (Number.isFinite(widthMax) ? [sql`${low} >= ${start}`] : [])
  switch (prefix) {
    case 'eq':
      return sql`${low} >= ${lo} AND ${low} <= ${hi} AND ${high} <= ${hi}`
    case 'ne':
      return sql`NOT (${low} >= ${lo} AND ${high} <= ${hi})`
    case 'gt':
      return all([...from(hi - widthMax), sql`${high} > ${hi}`])
    case 'lt':
      return sql`${low} < ${lo}`
    case 'ge':
      return all([
        ...from(Math.min(lo, hi - widthMax)),
        sql`(${high} > ${hi} OR (${low} >= ${lo} AND ${high} <= ${hi}))`,
      ])
    case 'le':
      return sql`${low} <= ${Math.max(lo, hi)} AND (${low} < ${lo} OR (${low} >= ${lo} AND ${high} <= ${hi}))`
    case 'sa':
      return sql`${low} > ${hi}`
    case 'eb':
      return sql`${low} < ${lo} AND ${high} < ${lo}`
    case 'ap':
      return all([...from(lo - widthMax), sql`${low} <= ${hi} AND ${high} >= ${lo}`])
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
