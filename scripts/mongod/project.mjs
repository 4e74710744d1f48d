/**
 * Projections of find, and of $project in an aggregation.
 *
 * https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#projection
 */
import { BSONRegExp } from 'bson'
import { Document, isPlain, numberOf, plainOf } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { compileExpression } from './expression.mjs'
import { parseFilter } from './filter.mjs'
import { matcher, positionOf } from './match.mjs'

/** Dotted paths as a tree; a leaf is what is done there. */
function put(tree, path, leaf) {
  if (path === '' || path.endsWith('.') || path.startsWith('.')) refuse(40353, "FieldPath must not end with a '.'.")
  const parts = path.split('.')
  let at = tree
  for (const part of parts.slice(0, -1)) {
    const next = at.get(part) ?? new Map()
    if (!(next instanceof Map)) refuse(31249, `Path collision at ${path}`)
    at.set(part, next)
    at = next
  }
  const last = parts.at(-1)
  if (at.has(last)) refuse(31250, `Path collision at ${path}`)
  at.set(last, leaf)
}

const wanted = (value) =>
  typeof value === 'boolean' ? value : numberOf(value) !== undefined ? numberOf(value) !== 0 : undefined

/**
 * @param {unknown} specification
 * @param {{ find?: boolean, filter?: object, variables?: object, stage?: string }} [options] find knows operators an
 *   aggregation does not
 * @returns {((document: object) => object) | undefined} undefined where everything is wanted
 */
export function projection(specification, { find = false, filter, variables = {} } = {}) {
  if (specification === undefined || specification === null) return undefined
  if (!isPlain(specification)) refuse(14, "Expected field 'projection' to be of type object")
  const leaves = []
  flatten('', specification, leaves)
  if (leaves.length === 0) return undefined
  const plan = { include: new Map(), exclude: new Map(), computed: [], slices: [], matches: [], position: undefined }
  const modes = { inclusion: undefined, exclusion: undefined }
  let id
  for (const [path, value] of leaves) {
    const flag = wanted(value)
    if (path === '_id' && flag !== undefined) {
      id = flag
      continue
    }
    const operator = isPlain(value) ? Object.keys(value)[0] : undefined
    if (flag === false) {
      modes.exclusion ??= path
      put(plan.exclude, path, true)
    } else if (
      find &&
      operator === '$slice' &&
      !Array.isArray(value.$slice?.[0]) &&
      typeof value.$slice?.[0] !== 'string'
    )
      plan.slices.push([path, sliceOf(value.$slice)])
    else if (find && operator === '$elemMatch') {
      modes.inclusion ??= path
      if (path.includes('.')) refuse(31275, 'Cannot use $elemMatch projection on a nested field.')
      plan.matches.push([path, elementTest(value.$elemMatch, variables)])
    } else if (operator === '$meta') unsupported('projections of $meta')
    else if (flag === true && path.endsWith('.$')) {
      if (!find) refuse(40353, 'the positional projection is for find only')
      modes.inclusion ??= path
      plan.position = path.slice(0, -2)
      put(plan.include, plan.position, true)
    } else if (flag === true) {
      modes.inclusion ??= path
      put(plan.include, path, true)
    } else {
      modes.inclusion ??= path
      plan.computed.push([path, compileExpression(value)])
    }
  }
  if (modes.inclusion !== undefined && modes.exclusion !== undefined) {
    const inclusionFirst =
      leaves.findIndex(([p]) => p === modes.inclusion) < leaves.findIndex(([p]) => p === modes.exclusion)
    if (inclusionFirst) refuse(31254, `Cannot do exclusion on field ${modes.exclusion} in inclusion projection`)
    refuse(31253, `Cannot do inclusion on field ${modes.inclusion} in exclusion projection`)
  }
  if (modes.inclusion === undefined && modes.exclusion === undefined && id === true && plan.slices.length === 0)
    modes.inclusion = '_id'
  if (modes.inclusion !== undefined && id !== false) plan.include.set('_id', true)
  if (modes.inclusion === undefined && id === false) plan.exclude.set('_id', true)
  if (modes.inclusion !== undefined) for (const [path] of plan.slices) put(plan.include, path, true)
  return compiled(plan, modes.inclusion !== undefined, filter, variables)
}

function flatten(prefix, specification, leaves) {
  for (const [name, value] of Object.entries(specification)) {
    const path = prefix + name
    const first = isPlain(value) ? Object.keys(value)[0] : undefined
    if (isPlain(value) && first === undefined) refuse(51270, 'An empty sub-projection is not a valid value.')
    if (first !== undefined && !first.startsWith('$')) flatten(`${path}.`, value, leaves)
    else leaves.push([path, value instanceof BSONRegExp ? { $literal: value } : value])
  }
}

function compiled(plan, inclusion, filter, variables) {
  const simple = plan.computed.length + plan.slices.length + plan.matches.length === 0 && plan.position === undefined
  if (inclusion && simple && [...plan.include.values()].every((leaf) => leaf === true)) {
    const names = new Set(plan.include.keys())
    return (document) => (document instanceof Document ? document.only(names) : included(document, plan.include))
  }
  return (document) => {
    const whole = plainOf(document)
    const out = inclusion ? included(whole, plan.include) : excluded(whole, plan.exclude)
    for (const [path, slice] of plan.slices) replaceArray(out, path.split('.'), slice)
    if (plan.position !== undefined) {
      const at = filter && positionOf(filter, document)
      if (at === undefined)
        refuse(
          51246,
          "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array",
        )
      replaceArray(out, plan.position.split('.'), (values) => [values[at]])
    }
    for (const [path, test] of plan.matches) {
      const found = Array.isArray(whole[path]) ? whole[path].find(test) : undefined
      if (found !== undefined) out[path] = [found]
    }
    for (const [path, run] of plan.computed) {
      const value = run(document, { ...variables, ROOT: document, CURRENT: document })
      if (value !== undefined) setAt(out, path.split('.'), value)
    }
    return out
  }
}

export function setAt(target, parts, value) {
  let at = target
  for (const part of parts.slice(0, -1)) {
    if (Array.isArray(at[part])) unsupported('computed members within arrays')
    if (!isPlain(at[part])) at[part] = {}
    at = at[part]
  }
  at[parts.at(-1)] = value
}

function included(value, tree) {
  const out = {}
  for (const [name, member] of Object.entries(value)) {
    const leaf = tree.get(name)
    if (leaf === true) out[name] = member
    else if (leaf !== undefined) {
      const inner = within(member, leaf, included, false)
      if (inner !== undefined) out[name] = inner
    }
  }
  return out
}

function excluded(value, tree) {
  const out = {}
  for (const [name, member] of Object.entries(value)) {
    const leaf = tree.get(name)
    if (leaf === undefined) out[name] = member
    else if (leaf !== true) out[name] = within(member, leaf, excluded, true)
  }
  return out
}

function within(value, tree, apply, keepScalars) {
  if (isPlain(value)) return apply(value, tree)
  if (Array.isArray(value))
    return value.map((element) => within(element, tree, apply, keepScalars)).filter((element) => element !== undefined)
  return keepScalars ? value : undefined
}

function sliceOf(operand) {
  const [first, second] = Array.isArray(operand) ? operand.map(numberOf) : [numberOf(operand)]
  if (first === undefined || (Array.isArray(operand) && second === undefined)) refuse(28724, 'Invalid $slice syntax.')
  if (second === undefined) return (values) => (first < 0 ? values.slice(first) : values.slice(0, first))
  return (values) => {
    const start = first < 0 ? Math.max(0, values.length + first) : first
    return values.slice(start, start + second)
  }
}

function replaceArray(target, parts, change) {
  let at = target
  for (const part of parts.slice(0, -1)) {
    if (!isPlain(at)) return
    at = at[part]
  }
  const last = parts.at(-1)
  if (isPlain(at) && Array.isArray(at[last])) at[last] = change(at[last])
}

function elementTest(operand, variables) {
  const node = parseFilter({ v: { $elemMatch: operand } }, variables)
  const test = matcher(node)
  return (element) => test({ v: [element] })
}
