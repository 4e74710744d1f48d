/**
 * Chains and `_has`: resources found through what they refer to, or what refers to them.
 *
 * https://hl7.org/fhir/R4/search.html#chaining
 */
import type { Expression } from '../../search/index.js'
import type { Plan } from './plan.js'
import { targetsOf } from './posted.js'
import { anyOf, no, type Scope, type Source, union } from './source.js'
import { type Sql, sql } from './sql.js'

type ChainTest = Extract<Expression, { op: 'chain' }>
type HasTest = Extract<Expression, { op: 'has' }>

/** What a chain leads to, for each type that is there. */
function targetsOfChain(plan: Plan, { trusted }: Scope, { types }: ChainTest): Scope[] {
  return types.flatMap((type) => {
    const scope = plan.scope(type)
    return scope ? { ...scope, trusted } : []
  })
}

/** The numbers of all that satisfy an expression, each once: or every step of a chain would multiply them. */
function numbers(
  plan: Plan,
  scopes: Scope[],
  where: Expression,
): { select: Sql; size: (cap: number) => number } | undefined {
  const sources = scopes.flatMap((scope) => plan.find(scope, where) ?? [])
  if (!sources.length) return undefined
  return {
    select: union(sources, 'DISTINCT '),
    size: (cap) => sources.reduce((sum, source) => (sum >= cap ? sum : sum + source.size(cap - sum)), 0),
  }
}

/**
 * Whether what is inside is better found once than asked for each candidate: if it is not much, or if asking would
 * follow many references from each of many (a `_has` inside).
 */
function isSet(plan: Plan, scopes: Scope[], where: Expression, inner: { size: (cap: number) => number }): boolean {
  const { setMax } = plan.tuning
  return (
    inner.size(setMax) < setMax ||
    scopes.some((scope) => plan.visible(scope, where).some((term) => fansOut(term.where)))
  )
}

function fansOut(where: Expression): boolean {
  switch (where.op) {
    case 'has':
      return true
    case 'and':
    case 'or':
      return where.of.some(fansOut)
    case 'typed':
      return Object.values(where.of).some(fansOut)
    case 'not':
    case 'chain':
      return fansOut(where.of)
    default:
      return false
  }
}

export function fromChain(plan: Plan, scope: Scope, test: ChainTest): Source | undefined {
  const pid = plan.lookup.pid(scope.tid, test.param, 'reference')
  const inner = pid === undefined ? undefined : numbers(plan, targetsOfChain(plan, scope, test), test.of)
  if (!inner || pid === undefined) return undefined
  const t = plan.alias()
  const a = plan.alias()
  return plan.made({
    from: sql`FROM (${inner.select}) ${t} CROSS JOIN reference ${a} ON ${a}.target = ${t}.rid AND ${a}.pid = ${pid} WHERE 1`,
    rid: sql`${a}.rid`,
    ordered: false,
  })
}

export function testChain(plan: Plan, scope: Scope, test: ChainTest, rid: Sql): Sql {
  const pid = plan.lookup.pid(scope.tid, test.param, 'reference')
  const targets = targetsOfChain(plan, scope, test)
  const inner = pid === undefined ? undefined : numbers(plan, targets, test.of)
  if (!inner || pid === undefined) return no
  const pids = [pid]
  const j = plan.alias()
  const each = plan.ask((data) => `[${targetsOf(data, pids)}]`, rid)
  const holds = isSet(plan, targets, test.of, inner)
    ? sql`${j}.value IN (${inner.select})`
    : anyOf(
        targets.map((target) => {
          const r = plan.alias()
          return sql`EXISTS (SELECT 1 FROM resource ${r} WHERE ${r}.rid = ${j}.value AND ${r}.tid = ${target.tid} AND ${r}.live = 1
              AND ${plan.holds(target, test.of, sql`${r}.rid`)})`
        }),
      )
  return sql`EXISTS (SELECT 1 FROM json_each(${each}) ${j} WHERE ${holds})`
}

export function fromHas(plan: Plan, scope: Scope, test: HasTest): Source | undefined {
  const referring = referringOf(plan, scope, test)
  const inner = referring && numbers(plan, [referring.scope], test.of)
  if (!inner || !referring) return undefined
  const pids = [referring.pid]
  const t = plan.alias()
  const e = plan.alias()
  const j = plan.alias()
  const a = plan.alias()
  const question = plan.questions.add((data) => `[${targetsOf(data, pids)}]`)
  const source = plan.made({
    from: sql`FROM (${inner.select}) ${t} CROSS JOIN entry ${e} ON ${e}.rid = ${t}.rid
      CROSS JOIN json_each(ask(${e}.data, ${question})) ${j}
      CROSS JOIN resource ${a} ON ${a}.rid = ${j}.value AND ${a}.tid = ${scope.tid} AND ${a}.live = 1 WHERE 1`,
    rid: sql`${a}.rid`,
    ordered: false,
  })
  // Most refer to one resource each, and counting them is many times cheaper than following what they refer to.
  return { ...source, size: inner.size }
}

/** `alone`: the one resource that is asked about, and about which nothing need be found that counts for many. */
export function testHas(plan: Plan, scope: Scope, test: HasTest, rid: Sql, alone?: number): Sql {
  const referring = referringOf(plan, scope, test)
  if (alone !== undefined && referring && !fansOut(test.of)) {
    const { setMax } = plan.tuning
    const few = plan.lookup.count(sql`FROM reference WHERE target = ${alone} AND pid = ${referring.pid}`, setMax)
    if (few === 0) return no
    if (few < setMax) return refersAndHolds(plan, referring, test.of, rid)
  }
  const inner = referring && numbers(plan, [referring.scope], test.of)
  if (!inner || !referring) return no
  if (isSet(plan, [referring.scope], test.of, inner)) {
    const source = fromHas(plan, scope, test)
    return source ? sql`(${rid} IN (SELECT ${source.rid} ${source.from}))` : no
  }
  return refersAndHolds(plan, referring, test.of, rid)
}

function refersAndHolds(plan: Plan, { scope, pid }: { scope: Scope; pid: number }, of: Expression, rid: Sql): Sql {
  const f = plan.alias()
  return sql`EXISTS (SELECT 1 FROM reference ${f} WHERE ${f}.target = ${rid} AND ${f}.pid = ${pid}
    AND ${plan.holds(scope, of, sql`${f}.rid`)})`
}

function referringOf(
  plan: Plan,
  { trusted }: Scope,
  { type, param }: HasTest,
): { scope: Scope; pid: number } | undefined {
  const scope = plan.scope(type)
  const pid = scope && plan.lookup.pid(scope.tid, param, 'reference')
  return scope && pid !== undefined ? { scope: { ...scope, trusted }, pid } : undefined
}
