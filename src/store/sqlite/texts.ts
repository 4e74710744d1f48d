/**
 * Full texts and places.
 *
 * https://hl7.org/fhir/R4/search.html#content
 */
import type { NearTest, TextTest } from '../../search/index.js'
import { placeOf, tableOf } from './full-text.js'
import type { Plan } from './plan.js'
import type { Scope, Source } from './source.js'
import { all, raw, sql } from './sql.js'
import { says, wordsQuery } from './words.js'

export function fromNear(plan: Plan, scope: Scope, { param, latitude, longitude, km }: NearTest): Source | undefined {
  const pid = plan.lookup.pid(scope.tid, param, 'position')
  if (pid === undefined) return undefined
  // A degree of latitude is 111.19 km on this sphere; a little more is looked at than is needed.
  const degrees = km / 111.19 + 1e-6
  const a = plan.alias()
  return plan.made({
    from: sql`FROM position ${a} WHERE ${a}.pid = ${pid} AND ${a}.latitude >= ${latitude - degrees} AND ${a}.latitude <= ${latitude + degrees}
      AND distance(${a}.latitude, ${a}.longitude, ${latitude}, ${longitude}) <= ${km}`,
    rid: sql`${a}.rid`,
    ordered: false,
  })
}

export function fromText(plan: Plan, scope: Scope, { param, words }: TextTest): Source | undefined {
  const { tid } = scope
  if (!words.length || plan.lookup.pid(scope.tid, param, 'text') === undefined) return undefined
  const table = tableOf(param)
  const r = plan.alias()
  if (plan.lookup.db.value(sql`SELECT 1 FROM wording WHERE tid = ${tid} LIMIT 1`) !== undefined)
    return fromWaitingText(plan, scope, { op: 'text', param, words })
  return plan.made({
    from: sql`FROM ${table} CROSS JOIN resource ${r} ON ${r}.rid = ${table}.rowid WHERE ${table} MATCH ${wordsQuery(tid, words)} AND ${r}.tid = ${tid}`,
    rid: sql`${r}.rid`,
    ordered: false,
  })
}

/** Words that wait to be indexed are read one by one, and stand above those that are indexed. */
function fromWaitingText(plan: Plan, { tid }: Scope, { param, words }: TextTest): Source {
  const table = tableOf(param)
  const t = plan.alias()
  const r = plan.alias()
  return plan.made({
    from: sql`FROM (
        SELECT ${table}.rowid AS rid FROM ${table} WHERE ${table} MATCH ${wordsQuery(tid, words)}
          AND NOT EXISTS (SELECT 1 FROM wording WHERE tid = ${tid} AND place = ${placeOf(sql`${table}.rowid`, param)})
        UNION ALL SELECT place / 2 FROM wording WHERE tid = ${tid} AND place % 2 = ${raw(param === '_text' ? '0' : '1')}
          AND ${all(words.map(says))}
      ) ${t} CROSS JOIN resource ${r} ON ${r}.rid = ${t}.rid WHERE ${r}.tid = ${tid}`,
    rid: sql`${r}.rid`,
    ordered: false,
  })
}
