/**
 * Tokens, strings and URIs: the values a test accepts, and the resources that have them.
 *
 * https://hl7.org/fhir/R4/search.html#token
 */
import { fold, type StringTest, type TokenTest, type UriTest } from '../../search/index.js'
import type { Plan } from './plan.js'
import { no, type Scope, type Source } from './source.js'
import { join, raw, type Sql, sql } from './sql.js'

/** The values of a parameter that a test accepts: a list, or a condition where there are too many. */
export type TermSet = { terms: number[] } | { where: Sql }

export const termSet = (terms: number[]): TermSet | undefined => (terms.length ? { terms } : undefined)

export function termsOf(plan: Plan, scope: Scope, test: TokenTest | StringTest | UriTest): TermSet | undefined {
  const known = plan.sets.get(test)
  if (known?.tid === scope.tid) return known.set
  const set = setOf(plan, termsWhere(plan, scope, test))
  plan.sets.set(test, { tid: scope.tid, set })
  return set
}

function setOf(plan: Plan, where: Sql | undefined): TermSet | undefined {
  if (!where) return undefined
  const terms = plan.lookup.terms(sql`${where} LIMIT ${plan.tuning.termsMax + 1} + 0`)
  if (!terms.length) return undefined
  return terms.length <= plan.tuning.termsMax ? { terms } : { where }
}

export function termsWhere(plan: Plan, scope: Scope, test: TokenTest | StringTest | UriTest): Sql | undefined {
  const pid = plan.lookup.pid(scope.tid, test.param, test.op)
  if (pid === undefined) return undefined
  switch (test.op) {
    case 'token': {
      const sys =
        test.system === undefined ? undefined : test.system === '' ? 0 : (plan.lookup.system(test.system) ?? -1)
      if (sys === -1) return undefined
      if (test.code === undefined)
        return sys ? sql`pid = ${pid} AND sys = ${sys} AND sys > 0` : sql`pid = ${pid} AND sys = 0`
      return sys === undefined
        ? sql`pid = ${pid} AND value = ${test.code}`
        : sql`pid = ${pid} AND value = ${test.code} AND sys = ${sys}`
    }
    case 'string':
      switch (test.how) {
        case 'exact':
          return sql`pid = ${pid} AND value = ${fold(test.value)} AND ifnull(raw, value) = ${test.value}`
        case 'starts':
          return sql`pid = ${pid} AND ${startsWith(raw('value'), test.value)}`
        case 'contains':
          return sql`pid = ${pid} AND instr(value, ${test.value}) > 0`
        case 'equals':
          return sql`pid = ${pid} AND value = ${test.value}`
        case 'ends':
          if (test.value === '') return sql`pid = ${pid}`
          return sql`pid = ${pid} AND octet_length(value) >= octet_length(${test.value})
            AND substr(CAST(value AS BLOB), octet_length(value) - octet_length(${test.value}) + 1) = CAST(${test.value} AS BLOB)`
      }
      break
    case 'uri':
      switch (test.how) {
        case 'exact':
          return sql`pid = ${pid} AND value = ${test.value}`
        case 'below':
          return sql`pid = ${pid} AND (value = ${test.value} OR ${startsWith(raw('value'), `${test.value}/`)})`
        case 'above':
          return sql`pid = ${pid} AND value IN (SELECT value FROM json_each(${JSON.stringify(pathPrefixes(test.value))}))`
      }
  }
  return undefined
}

export function fromTerms(plan: Plan, set: TermSet | undefined): Source | undefined {
  if (!set) return undefined
  const a = plan.alias()
  const rid = sql`${a}.rid`
  if ('where' in set)
    return plan.made({
      from: sql`FROM posting ${a} WHERE ${a}.term IN (SELECT term FROM term WHERE ${set.where})`,
      rid,
      ordered: false,
    })
  const { terms } = set
  const one = (term: number) =>
    plan.made({ from: sql`FROM posting ${a} WHERE ${a}.term = ${term}`, rid, ordered: true })
  if (terms.length === 1) return one(terms[0]!)
  return plan.made({
    from: sql`FROM posting ${a} WHERE ${a}.term IN (SELECT value FROM json_each(${JSON.stringify(terms)}))`,
    rid,
    ordered: false,
    ...(terms.length <= plan.tuning.partsMax && { parts: terms.map(one) }),
  })
}

export function testTerms(plan: Plan, set: TermSet | undefined, rid: Sql): Sql {
  if (!set) return no
  if ('where' in set)
    return sql`(${rid} IN (SELECT rid FROM posting WHERE term IN (SELECT term FROM term WHERE ${set.where})))`
  const { terms } = set
  if (terms.length === 1) return sql`EXISTS (SELECT 1 FROM posting WHERE term = ${terms[0]!} AND rid = ${rid})`
  if (terms.length <= plan.tuning.probesMax)
    return sql`EXISTS (SELECT 1 FROM posting WHERE term IN (${join(
      terms.map((term) => sql`${term}`),
      ', ',
    )}) AND rid = ${rid})`
  return sql`(${rid} IN (SELECT rid FROM posting WHERE term IN (SELECT value FROM json_each(${JSON.stringify(terms)}))))`
}

function startsWith(column: Sql, prefix: string): Sql {
  const end = after(prefix)
  return end === undefined ? sql`${column} >= ${prefix}` : sql`${column} >= ${prefix} AND ${column} < ${end}`
}

/** The smallest text greater than all that begin with the prefix, in the order of code points. */
export function after(prefix: string): string | undefined {
  const points = [...prefix]
  while (points.length) {
    const point = points.pop()!.codePointAt(0)!
    if (point < 0x10ffff) return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1)
  }
  return undefined
}

/** `a/b/c` and each beginning of it that ends before a slash. */
function pathPrefixes(uri: string): string[] {
  const prefixes = [uri]
  for (let at = uri.lastIndexOf('/'); at >= 0; at = at > 0 ? uri.lastIndexOf('/', at - 1) : -1)
    prefixes.push(uri.slice(0, at))
  return prefixes
}
