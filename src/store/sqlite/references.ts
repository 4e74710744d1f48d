/**
 * Ids and references.
 *
 * https://hl7.org/fhir/R4/search.html#reference
 */
import type { ReferenceTest } from '../../search/index.js'
import type { Plan } from './plan.js'
import { versioned } from './post.js'
import { targetsOf } from './posted.js'
import { no, type Scope, type Source } from './source.js'
import { type Sql, sql } from './sql.js'
import { fromTerms, termSet, testTerms } from './terms.js'

/** Resources referred to by one parameter. */
export type Targets = { pid: number; targets: number[] }

export function living(plan: Plan, type: string, id: string): number | undefined {
  const row = plan.row(type, id)
  return row?.live === 1 ? row.rid : undefined
}

export function testIds(rids: readonly number[], rid: Sql): Sql {
  if (rids.length <= 1) return rids.length ? sql`(${rid} = ${rids[0]!})` : no
  return sql`(${rid} IN (SELECT value FROM json_each(${JSON.stringify(rids)})))`
}

export function fromIds(plan: Plan, rids: number[]): Source | undefined {
  if (!rids.length) return undefined
  const a = plan.alias()
  return {
    from:
      rids.length === 1
        ? sql`FROM resource ${a} WHERE ${a}.rid = ${rids[0]!}`
        : sql`FROM resource ${a} WHERE ${a}.rid IN (SELECT value FROM json_each(${JSON.stringify([...new Set(rids)])}))`,
    rid: sql`${a}.rid`,
    ordered: true,
    size: () => rids.length,
  }
}

export function fromReference(plan: Plan, scope: Scope, { param, target }: ReferenceTest): Source | undefined {
  if ('url' in target || target.version !== undefined)
    return fromTerms(plan, termSet(urlTerms(plan, scope, param, target)))
  const pid = plan.lookup.pid(scope.tid, param, 'reference')
  const rid = plan.row(target.type, target.id)?.rid
  return pid === undefined || rid === undefined ? undefined : fromTargets(plan, { pid, targets: [rid] })
}

export function fromTargets(plan: Plan, { pid, targets }: Targets): Source {
  const a = plan.alias()
  const one = (target: number) =>
    plan.made({
      from: sql`FROM reference ${a} WHERE ${a}.target = ${target} AND ${a}.pid = ${pid}`,
      rid: sql`${a}.rid`,
      ordered: true,
    })
  if (targets.length === 1) return one(targets[0]!)
  return plan.made({
    from: sql`FROM reference ${a} WHERE ${a}.target IN (SELECT value FROM json_each(${JSON.stringify(targets)})) AND ${a}.pid = ${pid}`,
    rid: sql`${a}.rid`,
    ordered: false,
    ...(targets.length <= plan.tuning.partsMax && { parts: targets.map(one) }),
  })
}

export function testReference(plan: Plan, scope: Scope, { param, target }: ReferenceTest, rid: Sql): Sql {
  if ('url' in target || target.version !== undefined)
    return testTerms(plan, termSet(urlTerms(plan, scope, param, target)), rid)
  const pid = plan.lookup.pid(scope.tid, param, 'reference')
  const found = plan.row(target.type, target.id)?.rid
  return pid === undefined || found === undefined ? no : testTargets(plan, { pid, targets: [found] }, rid)
}

export function testTargets(plan: Plan, { pid, targets }: Targets, rid: Sql): Sql {
  const which =
    targets.length === 1 ? sql`= ${targets[0]!}` : sql`IN (SELECT value FROM json_each(${JSON.stringify(targets)}))`
  if (targets.length <= plan.tuning.probesMax)
    return sql`EXISTS (SELECT 1 FROM reference WHERE target ${which} AND pid = ${pid} AND rid = ${rid})`
  const wanted = new Set(targets)
  const pids = [pid]
  return plan.ask((data) => (targetsOf(data, pids).some((target) => wanted.has(target)) ? 1 : 0), rid)
}

export function urlTerms(plan: Plan, scope: Scope, param: string, target: ReferenceTest['target']): number[] {
  const pid = plan.lookup.pid(scope.tid, param, 'url' in target ? 'url' : 'versioned')
  if (pid === undefined) return []
  return plan.lookup.terms(sql`pid = ${pid} AND value = ${'url' in target ? target.url : versioned(target)}`)
}
