/**
 * Dates, numbers and quantities: tests on intervals.
 *
 * https://hl7.org/fhir/R4/search.html#prefix
 */
import type { IntervalTest, QuantityTest } from '../../search/index.js'
import { condition, passes } from './intervals.js'
import type { Plan } from './plan.js'
import { anyInterval } from './posted.js'
import { widthOfSeries } from './series.js'
import { no, type Scope, type Source, yes } from './source.js'
import { join, type Sql, sql } from './sql.js'

/** The series of a test, with the width none of their intervals exceeds; undefined if there are none. */
export function seriesOf(plan: Plan, scope: Scope, test: IntervalTest | QuantityTest) {
  if (test.op === 'interval') {
    const pid = plan.lookup.pid(scope.tid, test.param, 'interval')
    if (pid === undefined) return undefined
    const series = plan.lookup.db.all<{ term: number; value: string }>(
      sql`SELECT term, value FROM term WHERE pid = ${pid}`,
    )
    return { pid, series: series.map(({ term, value }) => ({ term, widthMax: widthOfSeries(value) })) }
  }
  const { unit } = test
  const pid = plan.lookup.pid(scope.tid, test.param, unit.kind === 'canonical' ? 'canonical' : 'quantity')
  if (pid === undefined) return undefined
  const terms = plan.lookup.terms(sql`pid = ${pid} AND ${unitWhere(plan, unit)}`)
  return { pid, series: terms.map((term) => ({ term, widthMax: Number.POSITIVE_INFINITY })) }
}

function unitWhere(plan: Plan, unit: QuantityTest['unit']): Sql {
  switch (unit.kind) {
    case 'any':
      return yes
    case 'canonical':
      return sql`value = ${unit.code}`
    case 'coded': {
      return sql`value = ${unit.code} AND sys = ${plan.lookup.system(unit.system) ?? -1}`
    }
    case 'text':
      return sql`(value = ${unit.text} OR raw = ${unit.text})`
  }
}

export function fromIntervals(plan: Plan, scope: Scope, test: IntervalTest | QuantityTest): Source | undefined {
  const found = seriesOf(plan, scope, test)
  if (!found?.series.length) return undefined
  const a = plan.alias()
  const { series } = found
  const where = (widthMax: number) => condition(test, sql`${a}.lo`, sql`${a}.hi`, widthMax)
  const widths = new Set(series.map(({ widthMax }) => widthMax))
  if (series.length === 1 || widths.size === 1) {
    const terms = series.map(({ term }) => term)
    const which =
      terms.length === 1 ? sql`= ${terms[0]!}` : sql`IN (SELECT value FROM json_each(${JSON.stringify(terms)}))`
    return plan.made({
      from: sql`FROM interval ${a} WHERE ${a}.series ${which} AND ${where(series[0]!.widthMax)}`,
      rid: sql`${a}.rid`,
      ordered: false,
    })
  }
  const b = plan.alias()
  return plan.made({
    from: sql`FROM (${join(
      series.map(
        ({ term, widthMax }) =>
          sql`SELECT ${a}.rid AS rid FROM interval ${a} WHERE ${a}.series = ${term} AND ${where(widthMax)}`,
      ),
      ' UNION ALL ',
    )}) ${b} WHERE 1`,
    rid: sql`${b}.rid`,
    ordered: false,
  })
}

export function testIntervals(plan: Plan, scope: Scope, test: IntervalTest | QuantityTest, rid: Sql): Sql {
  const found = seriesOf(plan, scope, test)
  if (!found?.series.length) return no
  const pids = [found.pid]
  const series = test.op === 'quantity' ? new Set(found.series.map(({ term }) => term)) : undefined
  const pass = passes(test)
  return plan.ask(
    (data) => (anyInterval(data, pids, (of, lo, hi) => (series?.has(of) ?? true) && pass(lo, hi)) ? 1 : 0),
    rid,
  )
}

export function fromUpdated(plan: Plan, scope: Scope, test: IntervalTest): Source {
  const v = plan.alias()
  const a = plan.alias()
  return plan.made({
    from: sql`FROM version ${v} INDEXED BY version_type CROSS JOIN resource ${a} ON ${a}.rid = ${v}.rid AND ${a}.seq = ${v}.seq
      WHERE ${v}.tid = ${scope.tid} AND ${condition(test, sql`${v}.updated`, sql`${v}.updated`, 0)} AND ${a}.live = 1`,
    rid: sql`${a}.rid`,
    ordered: false,
  })
}

export function testUpdated(plan: Plan, test: IntervalTest, rid: Sql): Sql {
  const v = plan.alias()
  const r = plan.alias()
  return sql`EXISTS (SELECT 1 FROM resource ${r} CROSS JOIN version ${v} ON ${v}.seq = ${r}.seq
    WHERE ${r}.rid = ${rid} AND ${condition(test, sql`${v}.updated`, sql`${v}.updated`, 0)})`
}
