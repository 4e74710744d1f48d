/**
 * Which index answers a query, and in which order.
 *
 * https://www.mongodb.com/docs/manual/core/query-plans/
 *
 * Where several could, all are started and the first to give a page or to finish goes on, as the server does it.
 */

import { allPoints, downwards, indexBounds, isFull, predicatesOf } from './bounds.mjs'
import { encode, isPlain, numberOf } from './bson.mjs'
import { refuse } from './errors.mjs'
import { EVERYTHING } from './filter.mjs'

/** More scans than this are not merged into one order. */
const MERGED_SCANS_MAX = 200

/**
 * The plans that could answer; never empty.
 * @param {import('./store.mjs').Collection | undefined} collection
 * @param {{ filter: object, sort: { fields: object[], natural?: number }, hint?: unknown, noScan?: boolean, namespace: string }} query
 */
export function plansFor(collection, { filter, sort, hint, noScan, namespace }) {
  if (collection === undefined || isNever(filter)) return [{ kind: 'nothing', sorted: true }]
  const id = hint === undefined && sort.natural === undefined ? idOnly(filter) : undefined
  if (id !== undefined) return [{ kind: 'id', key: id, index: collection.indexes[0], sorted: true, exact: true }]
  const hinted = hintedIndex(collection, hint)
  if (hinted?.natural !== undefined || sort.natural !== undefined) return [scan(sort, hinted?.natural ?? sort.natural)]
  const predicates = predicatesOf(filter)
  const whole = conjuncts(filter)
  const usable = (hinted ? [hinted] : collection.indexes).filter(
    (index) => index.ordered && (!index.specification.hidden || hinted) && implied(index, whole),
  )
  const plans = usable.flatMap((index) => indexPlans(index, predicates, filter, sort, hinted !== undefined))
  if (hinted) {
    if (plans.length > 0) return plans.slice(0, 1)
    if (hinted.specification.sparse) return [fullScanOf(hinted, sort)]
    if (hinted.filter)
      refuse(291, 'No query solutions: the hinted index is partial and does not hold everything the query can find')
    refuse(
      2,
      `error processing query: ns=${namespace} planner returned error :: caused by :: hint provided does not correspond to a usable index`,
    )
  }
  const ordered = plans.some((plan) => plan.sorted && !plan.orderOnly)
  const byOr = plans.some((plan) => !plan.orderOnly) ? undefined : orPlan(collection, filter, sort)
  const best = byOr
    ? [byOr, ...plans.filter((plan) => plan.orderOnly && byOr.blocking)]
    : plans.filter((plan) => !plan.orderOnly || !ordered)
  if (best.length > 0) return undominated(best.sort((a, b) => merit(b) - merit(a)))
  if (noScan && !isEmpty(filter))
    refuse(
      291,
      `error processing query: ns=${namespace} planner returned error :: caused by :: No indexed plans available, and running with 'notablescan'`,
    )
  return [scan(sort)]
}

const isNever = (node) => node.op === 'never' || (node.op === 'and' && node.of.some(isNever))
const isEmpty = (node) => node.op === 'and' && node.of.length === 0
const conjuncts = (node) => (node.op === 'and' ? node.of.flatMap(conjuncts) : [node])

function idOnly(filter) {
  if (filter.op !== 'in' || filter.path !== '_id' || filter.whole || filter.intervals.length !== 1) return undefined
  return filter.keys === undefined ? filter.intervals[0].point : undefined
}

const scan = (sort, direction = 1) => ({
  kind: 'scan',
  direction,
  blocking: sort.fields.length > 0,
  sorted: sort.fields.length === 0,
})

function hintedIndex(collection, hint) {
  if (hint === undefined || (isPlain(hint) && Object.keys(hint).length === 0)) return undefined
  if (isPlain(hint) && hint.$natural !== undefined) return { natural: numberOf(hint.$natural) < 0 ? -1 : 1 }
  const found =
    typeof hint === 'string'
      ? collection.index(hint)
      : collection.indexes.find(({ specification }) => Buffer.compare(encode(specification.key), encode(hint)) === 0)
  if (!found)
    refuse(
      2,
      `error processing query: ns=${collection.namespace} planner returned error :: caused by :: hint provided does not correspond to an existing index`,
    )
  return found
}

/** Whether everything the query can find is in a partial index. */
function implied(index, nodes) {
  if (!index.filter) return true
  return conjuncts(index.filter).every((needed) => nodes.some((given) => implies(given, needed)))
}

function implies(given, needed) {
  if (needed.op === 'or') return needed.of.some((one) => implies(given, one))
  if (given.op === 'or') return given.of.every((one) => implies(one, needed))
  if (given.op === 'and') return given.of.some((one) => implies(one, needed))
  if (given.path !== needed.path) return false
  if (needed.op === 'exists') return given.op === 'exists' || (given.op === 'in' && !given.nullish)
  if (needed.op === 'type') return given.op === 'type' && [...given.types].every((type) => needed.types.has(type))
  if (needed.op !== 'in' || given.op !== 'in' || (given.nullish && !needed.nullish)) return false
  return given.intervals.every(({ from, to }) => needed.intervals.some((one) => from >= one.from && to <= one.to))
}

function indexPlans(index, predicates, filter, sort, hinted) {
  const { intervals, used, exact } = indexBounds(index, predicates)
  if (index.specification.sparse) {
    const first = index.fields.map(({ path }) => path)
    const relevant = predicates.filter((one) => used.has(one.node) && first.includes(one.path))
    if (relevant.length === 0 || relevant.every((one) => one.absent)) return []
  }
  const answers = !isFull(intervals[0])
  const order = sort.fields.length > 0 ? orderOf(index, intervals, sort.fields) : { direction: 1, exploded: 0 }
  if (!answers && !hinted && !(order && sort.fields.length > 0)) return []
  const all = conjuncts(filter)
  const stored = intervals.map((list, i) => (index.fields[i].down ? downwards(list) : list))
  return [
    {
      kind: 'index',
      index,
      intervals: stored,
      direction: order?.direction ?? 1,
      /** how many leading fields are taken one value at a time and merged */
      exploded: order?.exploded ?? 0,
      blocking: order === undefined,
      sorted: order !== undefined,
      exact: exact && all.every((node) => used.has(node)),
      orderOnly: !answers,
      boundedPaths: new Set(index.fields.filter((_, i) => !isFull(intervals[i])).map(({ path }) => path)),
      pointPaths: new Set(index.fields.slice(0, leadingPoints(intervals)).map(({ path }) => path)),
    },
  ]
}

/**
 * Leaves out plans that cannot do better than another: one that holds single values for everything they limit, and gives the
 * order if they do. Starting those as well would only cost time.
 */
function undominated(plans) {
  const kept = []
  for (const plan of plans) {
    const worse = kept.some(
      (other) =>
        other.kind === 'index' &&
        plan.kind === 'index' &&
        (other.sorted || !plan.sorted) &&
        [...plan.boundedPaths].every((path) => other.pointPaths.has(path)),
    )
    if (!worse) kept.push(plan)
  }
  return kept
}

const fullScanOf = (index, sort) => ({
  kind: 'index',
  index,
  intervals: index.fields.map(() => [EVERYTHING]),
  direction: 1,
  exploded: 0,
  blocking: sort.fields.length > 0,
  sorted: sort.fields.length === 0,
  exact: false,
})

function leadingPoints(intervals) {
  const at = intervals.findIndex((list) => !allPoints(list))
  return at < 0 ? intervals.length : at
}

/** Of plans that do equally well in the trial the earlier wins: many exact values first, no sorting, no fetching. */
const merit = (plan) =>
  (plan.pointPaths?.size ?? 0) * 4 +
  (plan.boundedPaths?.size ?? 0) * 2 +
  (plan.sorted ? 3 : 0) +
  (plan.exact ? 1 : 0) -
  (plan.orderOnly ? 100 : 0)

/**
 * Whether an index gives the order asked for: directly, or by merging one scan for each combination of leading values.
 * @returns {{ direction: 1 | -1, exploded: number } | undefined}
 */
function orderOf(index, intervals, fields) {
  let at = 0
  let direction
  let scans = 1
  let exploded = 0
  for (const { path, down } of fields) {
    for (;;) {
      if (at === index.fields.length) return undefined
      const field = index.fields[at]
      const list = intervals[at]
      const single = list.length === 1 && list[0].point !== undefined
      if (field.path === path) {
        if (single && index.arrayOn(at) === undefined) {
          at++
          break
        }
        // An array's keys lie in several places; only a walk over all of them meets each document first at its own.
        if (index.arrayOn(at) !== undefined && !isFull(list)) return undefined
        const wanted = field.down === down ? 1 : -1
        if (direction !== undefined && direction !== wanted) return undefined
        direction = wanted
        at++
        break
      }
      if (single && direction !== undefined) {
        at++
        continue
      }
      if (direction !== undefined || !allPoints(list) || list.length === 0) return undefined
      scans *= list.length
      if (scans > MERGED_SCANS_MAX) return undefined
      at++
      if (list.length > 1) exploded = at
    }
  }
  return { direction: direction ?? 1, exploded }
}

/** A query that is an alternative, each branch by an index of its own. */
function orPlan(collection, filter, sort) {
  const all = conjuncts(filter)
  const alternative = all.find((node) => node.op === 'or')
  if (!alternative) return undefined
  const rest = all.filter((node) => node !== alternative)
  const branches = []
  for (const branch of alternative.of) {
    const whole = { op: 'and', of: [...rest, ...conjuncts(branch)] }
    const predicates = predicatesOf(whole)
    const plans = collection.indexes
      .filter((index) => index.ordered && !index.specification.hidden && implied(index, conjuncts(whole)))
      .flatMap((index) => indexPlans(index, predicates, whole, sort, false))
      .filter((plan) => !plan.orderOnly)
      .sort((a, b) => merit(b) - merit(a))
    const best = plans[0] ?? orPlan(collection, whole, sort)
    if (!best) return undefined
    branches.push(best)
  }
  const sorted = sort.fields.length === 0 || branches.every((branch) => branch.sorted)
  return { kind: 'or', branches: sorted ? branches : branches.map(unsorted), blocking: !sorted, sorted, exact: false }
}

const unsorted = (plan) => ({
  ...plan,
  blocking: false,
  exploded: 0,
  branches: plan.branches?.map(unsorted),
})
