/**
 * What a filter says about the keys of an index.
 *
 * https://www.mongodb.com/docs/manual/core/multikey-index-bounds/
 */
import { EVERYTHING, point } from './filter.mjs'
import { AFTER, inverted, KIND, NULL_KEY, textBeginning } from './keys.mjs'

/**
 * A predicate an index could answer.
 * @typedef {object} Predicate
 * @property {string} path
 * @property {import('./filter.mjs').Interval[]} intervals sorted and apart
 * @property {boolean} exact whether a key within says that the document matches
 * @property {boolean} absent whether documents without the field match
 * @property {boolean} [present] it asks for anything but null
 * @property {object} [group] the `$elemMatch` it stands in, with the path of its array
 * @property {object} node
 */

/** All predicates that must hold, `$elemMatch` opened. */
export function predicatesOf(node, prefix = '', group = undefined, out = []) {
  if (node.op === 'and') {
    for (const inner of node.of) predicatesOf(inner, prefix, group, out)
    return out
  }
  if (node.op === 'elemObject') {
    const array = prefix + node.path
    predicatesOf(node.of, `${array}.`, { array, within: group }, out)
    return out
  }
  if (node.op === 'elemValue') {
    const array = prefix + node.path
    const inner = { array, within: group }
    for (const one of node.of) {
      const bounds = boundsOf(one)
      if (bounds) out.push({ ...bounds, path: array, group: inner, exact: false, node: one })
    }
    return out
  }
  const bounds = boundsOf(node)
  if (bounds) out.push({ ...bounds, path: prefix + bounds.path, group, exact: bounds.exact && !group, node })
  return out
}

/** The intervals of one predicate, or nothing where an index is no help. */
function boundsOf(node) {
  switch (node.op) {
    case 'in':
      if (
        node.whole &&
        node.intervals.some((interval) => interval.point !== undefined || interval.from[0] === KIND.array)
      )
        return undefined
      return { path: node.path, intervals: node.intervals, exact: !node.nullish, absent: node.nullish }
    case 'regex': {
      const { prefix } = node.regex
      const beginning = prefix === undefined ? KIND.string : textBeginning(prefix)
      const texts = { from: beginning, to: beginning + AFTER }
      return { path: node.path, intervals: [texts, point(node.key)], exact: false, absent: false }
    }
    case 'or': {
      const all = node.of.map(boundsOf)
      if (all.some((bounds) => bounds === undefined || bounds.path !== all[0].path)) return undefined
      return {
        path: all[0].path,
        intervals: union(all.flatMap(({ intervals }) => intervals)),
        exact: all.every(({ exact }) => exact),
        absent: all.some(({ absent }) => absent),
      }
    }
    case 'not':
      return complementOf(node.of)
    default:
      return undefined
  }
}

function complementOf(node) {
  if (node.op === 'and' && node.of.length === 1) return complementOf(node.of[0])
  if (node.op === 'exists') return { path: node.path, intervals: [point(NULL_KEY)], exact: false, absent: true }
  if (node.op !== 'in' || node.whole) return undefined
  return {
    path: node.path,
    intervals: complement(node.intervals),
    exact: false,
    absent: !node.nullish,
    present: node.nullish,
  }
}

export function union(intervals) {
  const out = []
  for (const interval of intervals.slice().sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    const last = out.at(-1)
    if (last !== undefined && interval.from < last.to) {
      if (interval.to > last.to) out[out.length - 1] = { from: last.from, to: interval.to }
    } else out.push(interval)
  }
  return out
}

export function complement(intervals) {
  const out = []
  let from = ''
  for (const interval of intervals) {
    if (from < interval.from) out.push({ from, to: interval.from })
    from = interval.to
  }
  if (from < AFTER) out.push({ from, to: AFTER })
  return out
}

export function intersection(a, b) {
  const out = []
  for (const one of a)
    for (const other of b) {
      const from = one.from > other.from ? one.from : other.from
      const to = one.to < other.to ? one.to : other.to
      if (from >= to) continue
      if (one.point !== undefined) out.push(one)
      else if (other.point !== undefined) out.push(other)
      else out.push({ from, to })
    }
  return out.sort((x, y) => (x.from < y.from ? -1 : 1))
}

/** The same intervals for a field that is stored downwards. */
export function downwards(intervals) {
  return intervals
    .map(({ from, to, point: value }) => {
      if (value !== undefined) return point(inverted(value))
      // "Up to but not including after v" becomes "from v", and the other way round.
      const edge = (text) => (text.endsWith(AFTER) ? inverted(text.slice(0, -1)) : inverted(text) + AFTER)
      return { from: to === AFTER ? '' : edge(to), to: from === '' ? AFTER : edge(from) }
    })
    .reverse()
}

const isFull = (intervals) => intervals.length === 1 && intervals[0] === EVERYTHING
const allPoints = (intervals) => intervals.every((interval) => interval.point !== undefined)
/** The server takes equality first, then an upper limit, then a lower one. */
function rank({ intervals }) {
  if (allPoints(intervals)) return intervals.length
  return intervals.every(({ to }) => to.length > 2) ? Number.MAX_SAFE_INTEGER : Number.POSITIVE_INFINITY
}

/**
 * The intervals of every field of an index.
 * @param {import('./index.mjs').Index} index
 * @param {Predicate[]} predicates
 * @returns {{ intervals: import('./filter.mjs').Interval[][], used: Set<object>, exact: boolean }}
 */
export function indexBounds(index, predicates) {
  const used = new Set()
  let exact = true
  /** which `$elemMatch` the fields below an array are bound to; only its predicates are about the same element */
  const bound = new Map()
  const intervals = index.fields.map(({ path }, i) => {
    const here = predicates.filter((predicate) => predicate.path === path)
    if (here.length === 0) return [EVERYTHING]
    const array = index.arrayOn(i)
    if (array === undefined) {
      for (const predicate of here) used.add(predicate.node)
      exact &&= here.every((predicate) => predicate.exact)
      return here.map((predicate) => predicate.intervals).reduce(intersection)
    }
    // Below an array that holds no sub-documents an index has null where a query finds nothing at all.
    const known = array === path ? here : here.filter(({ present }) => !present)
    const free = bound.has(array) ? known.filter(({ group }) => group && group === bound.get(array)) : known
    if (free.length === 0) return [EVERYTHING]
    const best = free.reduce((a, b) => (rank(b) < rank(a) ? b : a))
    // With a second array further down, two predicates could be about different elements of that.
    const single = index.shared.arrays.get(i).size === 1
    const together = single && best.group?.array === array ? free.filter(({ group }) => group === best.group) : [best]
    bound.set(array, best.group?.array === array ? best.group : undefined)
    for (const predicate of together) used.add(predicate.node)
    exact &&= together.every((predicate) => predicate.exact)
    return together.map((predicate) => predicate.intervals).reduce(intersection)
  })
  return { intervals, used, exact }
}

export { allPoints, isFull }
