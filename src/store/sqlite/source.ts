/**
 * What indexes find, and how it is joined: the parts a plan is made of.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import { and, type Expression, nothing } from '../../search/index.js'
import { join, nested, raw, type Sql, sql } from './sql.js'

/** Resources found by an index: `FROM … WHERE …` and the expression that is their number. */
export type Source = {
  from: Sql
  rid: Sql
  /** In order of rid, each once, without sorting. */
  ordered: boolean
  /** Parts that together are the same, each ordered: a page is merged from the beginnings of all. */
  parts?: Source[]
  /** How many rows, counted up to a limit. */
  size: (cap: number) => number
}

/** The type at hand. Inside a reach (`trusted`) nothing is added: it says itself what may be seen. */
export type Scope = { tid: number; type: string; trusted: boolean }

/** One of several that must all hold. */
export type Term = { scope: Scope; where: Expression }

export const yes = raw('1')
// Not a bare 0: SQLite would simplify the whole condition, and with it what an index named in the statement is needed for.
export const no = raw('(1 = 0)')

/** The source with a further condition on each of its resources. */
export function restricted(source: Source, condition: (rid: Sql) => Sql): Source {
  return {
    ...source,
    from: sql`${source.from} AND ${condition(source.rid)}`,
    ...(source.parts && { parts: source.parts.map((part) => restricted(part, condition)) }),
  }
}

/** The terms of a conjunction, or the one there is. */
export function conjuncts(scope: Scope, where: Expression): Term[] {
  const plain = narrow(where, scope.type)
  if (plain.op === 'everything') return []
  return (plain.op === 'and' ? plain.of : [plain]).map((each) => ({ scope, where: each }))
}

/** `typed` resolved: what the expression asks of one type. */
export function narrow(where: Expression, type: string): Expression {
  if (where.op === 'typed') return Object.hasOwn(where.of, type) ? narrow(where.of[type]!, type) : nothing
  if (where.op === 'and') return and(...where.of.map((each) => narrow(each, type)))
  return where
}

/** The one with the fewest rows; counting stops at what the best so far has. */
export function smallest(candidates: { term: Term; source: Source }[]) {
  if (candidates.length <= 1) return candidates[0]
  for (const cap of [64, 4096, 250_000]) {
    let best: (typeof candidates)[number] | undefined
    let least = cap
    for (const candidate of candidates) {
      const size = candidate.source.size(least)
      if (size < least) {
        best = candidate
        least = size
      }
    }
    if (best) return best
  }
  return candidates.find(({ source }) => source.ordered) ?? candidates[0]
}

/** The numbers that any of the sources finds. */
export function union(sources: readonly Pick<Source, 'from' | 'rid'>[]): Sql {
  const selects = sources.map(({ rid, from }) => sql`SELECT ${rid} AS rid ${from}`)
  return nested(
    selects,
    100,
    (group) => join(group, ' UNION ALL '),
    (group) => sql`SELECT rid FROM (${group})`,
  )
}

/** At least one of the conditions. */
export function anyOf(conditions: Sql[]): Sql {
  return conditions.length
    ? nested(
        conditions,
        100,
        (group) => sql`(${join(group, ' OR ')})`,
        (group) => group,
      )
    : no
}
