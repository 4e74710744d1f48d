/**
 * Several of which one must hold: values of one parameter become one set, the rest stands side by side.
 *
 * https://hl7.org/fhir/R4/search.html#combining
 */
import type { Expression } from '../../search/index.js'
import type { Plan } from './plan.js'
import { fromIds, fromTargets, living, type Targets, testIds, testTargets, urlTerms } from './references.js'
import { anyOf, narrow, type Scope, type Source, union } from './source.js'
import { type Sql, sql } from './sql.js'
import { fromTerms, termsOf, testTerms } from './terms.js'

/** Values of terms, references by the same parameter and ids are joined into sets; the rest stands side by side. */
function split(plan: Plan, scope: Scope, of: readonly Expression[]) {
  const terms = new Set<number>()
  const targets = new Map<number, Set<number>>()
  const ids = new Set<number>()
  const rest: Expression[] = []
  const flat = (each: Expression): Expression[] => {
    const plain = narrow(each, scope.type)
    return plain.op === 'or' ? plain.of.flatMap(flat) : [plain]
  }
  for (const each of of.flatMap(flat)) {
    switch (each.op) {
      case 'nothing':
        break
      case 'token':
      case 'string':
      case 'uri': {
        const set = termsOf(plan, scope, each)
        if (set && 'where' in set) rest.push(each)
        else for (const term of set?.terms ?? []) terms.add(term)
        break
      }
      case 'reference': {
        const { param, target } = each
        if ('url' in target || target.version !== undefined) {
          for (const term of urlTerms(plan, scope, param, target)) terms.add(term)
          break
        }
        const pid = plan.lookup.pid(scope.tid, param, 'reference')
        const rid = plan.row(target.type, target.id)?.rid
        if (pid === undefined || rid === undefined) break
        const of = targets.get(pid)
        if (of) of.add(rid)
        else targets.set(pid, new Set([rid]))
        break
      }
      case 'ids':
        for (const id of each.ids) {
          const rid = living(plan, scope.type, id)
          if (rid !== undefined) ids.add(rid)
        }
        break
      default:
        rest.push(each)
    }
  }
  return {
    terms: [...terms],
    targets: [...targets].map(([pid, of]): Targets => ({ pid, targets: [...of] })),
    ids: [...ids],
    rest,
  }
}

export function fromEither(plan: Plan, scope: Scope, of: readonly Expression[]): Source | undefined | 'none' {
  const { terms, targets, ids, rest } = split(plan, scope, of)
  const sources: Source[] = []
  if (terms.length) sources.push(fromTerms(plan, { terms })!)
  for (const each of targets) sources.push(fromTargets(plan, each))
  if (ids.length) sources.push(fromIds(plan, ids)!)
  for (const each of rest) {
    const source = plan.source(scope, each)
    if (source === 'none') return 'none'
    if (source) sources.push(source)
  }
  if (sources.length <= 1) return sources[0]
  const a = plan.alias()
  const parts = sources.flatMap((source) => source.parts ?? [source])
  return {
    from: sql`FROM (${union(sources)}) ${a} WHERE 1`,
    rid: sql`${a}.rid`,
    ordered: false,
    ...(parts.length <= plan.tuning.partsMax && { parts }),
    size: (cap) => sources.reduce((sum, source) => (sum >= cap ? sum : sum + source.size(cap - sum)), 0),
  }
}

export function testEither(plan: Plan, scope: Scope, of: readonly Expression[], rid: Sql): Sql {
  const { terms, targets, ids, rest } = split(plan, scope, of)
  const tests = targets.map((each) => testTargets(plan, each, rid))
  if (ids.length) tests.push(testIds(ids, rid))
  if (terms.length) tests.push(testTerms(plan, { terms }, rid))
  for (const each of rest) tests.push(plan.test(scope, each, rid))
  return anyOf(tests)
}
