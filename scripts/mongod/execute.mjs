/**
 * Plans carried out: documents one by one, with what was looked at counted.
 *
 * https://www.mongodb.com/docs/manual/reference/explain-results/
 */
import { refuse } from './errors.mjs'
import { AFTER, endOf } from './keys.mjs'
import { matcher } from './match.mjs'
import { plansFor } from './planner.mjs'
import { sortKeyOf } from './sort.mjs'

/** A trial ends with this many documents, or after this many steps. */
const TRIAL_DOCUMENTS = 101
const TRIAL_STEPS = 10_000

/** Ranges more numerous than this are walked value by value instead of being listed. */
const RANGES_MAX = 20_000

/**
 * @typedef {object} Query
 * @property {object} filter from parseFilter
 * @property {{ fields: object[], natural?: number }} sort
 * @property {unknown} [hint]
 * @property {number} [limit] with skipped ones
 * @property {boolean} [noScan]
 * @property {string} namespace
 * @property {number} [deadline]
 */

/**
 * The documents of a query in order.
 * @param {import('./store.mjs').View} view
 * @param {Query} query
 */
export function execute(view, query) {
  const collection = view.get(query.namespace)
  const plans = plansFor(collection, query)
  const test = matcher(query.filter)
  const runs = plans.map((plan) => {
    const counts = { keys: 0, documents: 0 }
    return { plan, counts, steps: sortedSteps(collection, plan, test, query, counts), found: [], done: false }
  })
  const won = runs.length === 1 ? runs[0] : trial(runs, query.limit)
  return {
    plan: won.plan,
    counts: won.counts,
    rejected: runs.filter((run) => run !== won).map((run) => run.plan),
    documents: documentsOf(won, query.deadline),
  }
}

function trial(runs, limit) {
  const enough = Math.min(TRIAL_DOCUMENTS, limit || TRIAL_DOCUMENTS)
  for (let step = 0; step < TRIAL_STEPS; step++)
    for (const run of runs) {
      const { done, value } = run.steps.next()
      if (done) {
        run.done = true
        return run
      }
      if (value !== undefined && run.found.push(value) >= enough) return run
    }
  return runs.reduce((best, run) => (run.found.length > best.found.length ? run : best))
}

function* documentsOf(run, deadline) {
  yield* run.found
  if (run.done) return
  let steps = 0
  for (const document of run.steps) {
    if (deadline !== undefined && (++steps & 255) === 0 && Date.now() > deadline)
      refuse(50, 'operation exceeded time limit')
    if (document !== undefined) yield document
  }
}

/** Steps of a plan with its sorting: undefined where a step found nothing. */
function* sortedSteps(collection, plan, test, query, counts) {
  const steps = stepsOf(collection, plan, test, query, counts)
  if (!plan.blocking) {
    yield* steps
    return
  }
  const keyed = []
  for (const document of steps) {
    if (document !== undefined) keyed.push({ key: sortKeyOf(document, query.sort.fields), document, at: keyed.length })
    yield undefined
  }
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.at - b.at))
  for (const { document } of keyed) yield document
}

function stepsOf(collection, plan, test, query, counts) {
  switch (plan.kind) {
    case 'nothing':
      return [][Symbol.iterator]()
    case 'id':
      return byId(collection, plan, counts)
    case 'scan':
      return scanned(collection, plan, test, counts)
    case 'index':
      return fetched(collection, entriesOf(plan, counts), plan, test, counts)
    case 'or':
      return either(collection, plan, test, query, counts)
    default:
      throw new TypeError(`no such plan: ${plan.kind}`)
  }
}

function* byId(collection, plan, counts) {
  const document = collection.byId(plan.key)
  if (!document) return
  counts.keys++
  counts.documents++
  yield document
}

function* scanned(collection, { direction }, test, counts) {
  const walk = collection.records.range(undefined, undefined, direction < 0)
  while (walk.next()) {
    counts.documents++
    yield test(walk.value) ? walk.value : undefined
  }
}

function* fetched(collection, entries, plan, test, counts) {
  const seen = plan.index.multikey ? new Set() : undefined
  for (const rid of entries) {
    if (rid === undefined || seen?.has(rid)) {
      yield undefined
      continue
    }
    seen?.add(rid)
    counts.documents++
    const document = collection.records.get(rid)
    yield plan.exact || test(document) ? document : undefined
  }
}

function* either(collection, plan, test, query, counts) {
  const seen = new Set()
  const branches = plan.branches.map((branch) => stepsOf(collection, { ...branch, exact: false }, test, query, counts))
  if (query.sort.fields.length > 0 && plan.sorted) {
    for (const document of mergedDocuments(branches, query.sort.fields)) {
      if (document !== undefined && seen.has(document.rid)) continue
      if (document !== undefined) seen.add(document.rid)
      yield document
    }
    return
  }
  for (const branch of branches)
    for (const document of branch) {
      if (document === undefined || seen.has(document.rid)) {
        yield undefined
        continue
      }
      seen.add(document.rid)
      yield document
    }
}

function* mergedDocuments(branches, fields) {
  const heads = []
  for (const branch of branches) {
    const head = { branch, document: undefined, key: '' }
    if (advance(head, fields)) heads.push(head)
    yield undefined
  }
  while (heads.length > 0) {
    let least = 0
    for (let i = 1; i < heads.length; i++) if (heads[i].key < heads[least].key) least = i
    const head = heads[least]
    yield head.document
    if (!advance(head, fields)) heads.splice(least, 1)
  }
}

function advance(head, fields) {
  for (;;) {
    const { done, value } = head.branch.next()
    if (done) return false
    if (value === undefined) continue
    head.document = value
    head.key = sortKeyOf(value, fields)
    return true
  }
}

/** Record numbers in the order of the index, within its intervals. */
export function entriesOf(plan, counts) {
  const { index, intervals, direction, exploded } = plan
  if (exploded === 0) return walked(index, intervals, '', 0, direction, counts)
  const streams = beginningsOf(intervals.slice(0, exploded)).map((beginning) => ({
    steps: walkedKeys(index, intervals, beginning, exploded, direction, counts),
    from: beginning.length,
  }))
  return merged(streams, direction)
}

/** All combinations of the values leading fields may have. */
function beginningsOf(intervals) {
  return intervals.reduce(
    (beginnings, list) => beginnings.flatMap((beginning) => list.map(({ point }) => beginning + point)),
    [''],
  )
}

/** What follows the leading values sorts alike in every scan. */
function* merged(streams, direction) {
  const heads = []
  for (const { steps, from } of streams) {
    const head = { steps, from, rest: '', rid: 0 }
    if (step(head)) heads.push(head)
    yield undefined
  }
  const before = (a, b) => (direction > 0 ? a.rest < b.rest : a.rest > b.rest)
  const down = (start) => {
    let at = start
    for (;;) {
      let least = at
      const left = at * 2 + 1
      if (left < heads.length && before(heads[left], heads[least])) least = left
      if (left + 1 < heads.length && before(heads[left + 1], heads[least])) least = left + 1
      if (least === at) return
      ;[heads[at], heads[least]] = [heads[least], heads[at]]
      at = least
    }
  }
  for (let i = heads.length >> 1; i >= 0; i--) down(i)
  while (heads.length > 0) {
    const [head] = heads
    yield head.rid
    if (!step(head)) {
      const last = heads.pop()
      if (heads.length === 0) return
      heads[0] = last
    }
    down(0)
  }
}

function step(head) {
  for (;;) {
    const { done, value } = head.steps.next()
    if (done) return false
    if (value === undefined) continue
    head.rest = value.key.slice(head.from)
    head.rid = value.value
    return true
  }
}

function* walked(index, intervals, beginning, at, direction, counts) {
  for (const walk of walkedKeys(index, intervals, beginning, at, direction, counts)) yield walk?.value
}

/** Walks standing on each entry within the intervals; one field after the other where several are bounded. */
function* walkedKeys(index, intervals, beginning, at, direction, counts) {
  let last = intervals.length - 1
  while (last > at && intervals[last].length === 1 && intervals[last][0].from === '' && intervals[last][0].to === AFTER)
    last--
  const combinations = intervals.slice(at, last).reduce((n, list) => n * list.length, 1)
  const listed = intervals.slice(at, last).every((list) => list.every(({ point }) => point !== undefined))
  if (listed && combinations <= RANGES_MAX) {
    const beginnings = beginningsOf(intervals.slice(at, last)).sort()
    if (direction < 0) beginnings.reverse()
    const lasts = direction < 0 ? intervals[last].slice().reverse() : intervals[last]
    const ranges = beginnings.flatMap((inner) =>
      lasts.map(({ from, to }) => ({ from: beginning + inner + from, to: beginning + inner + to })),
    )
    for (const [i, { from, to }] of ranges.entries()) {
      const walk = index.tree.range(from, to, direction < 0)
      while (walk.next()) {
        counts.keys++
        yield walk
      }
      // A server has read the key that ends a range, unless that begins the next one.
      const next = ranges[i + 1]
      if (next !== undefined && walk.beyond !== undefined && !(walk.beyond >= next.from && walk.beyond < next.to))
        counts.keys++
    }
    return
  }
  const lists = direction < 0 ? intervals[at].slice().reverse() : intervals[at]
  for (const { from, to, point } of lists) {
    if (point !== undefined) {
      yield* walkedKeys(index, intervals, beginning + point, at + 1, direction, counts)
      continue
    }
    // Each value within the interval is found by a jump, and what lies between is never looked at.
    let low = beginning + from
    let high = beginning + to
    for (;;) {
      const walk = index.tree.range(low, high, direction < 0)
      if (!walk.next()) break
      const end = endOf(walk.key, beginning.length, index.fields[at].down)
      const value = walk.key.slice(0, end)
      const keysBefore = counts.keys
      yield* walkedKeys(index, intervals, value, at + 1, direction, counts)
      if (counts.keys === keysBefore) {
        counts.keys++
        yield undefined
      }
      if (direction < 0) high = value
      else low = value + AFTER
    }
  }
}

/** How many documents a plan finds by its keys alone, where those say everything. */
export function countByKeys(plan, counts) {
  const seen = plan.index.multikey ? new Set() : undefined
  let count = 0
  for (const rid of entriesOf(plan, counts)) {
    if (rid === undefined) continue
    if (!seen) count++
    else if (!seen.has(rid)) {
      seen.add(rid)
      count++
    }
  }
  return count
}
