/**
 * Updates: what a document becomes.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/update/
 */
import { BSONRegExp, Timestamp } from 'bson'
import { encode, isPlain, numberOf, plainOf, typeName } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { parseFilter } from './filter.mjs'
import { compare, equal, keyOf } from './keys.mjs'
import { matcher, positionOf } from './match.mjs'
import { calculate, isNumber } from './numbers.mjs'
import { runStages } from './pipeline.mjs'
import { parseSort, sorted } from './sort.mjs'

const MODIFIERS = new Set([
  '$set',
  '$setOnInsert',
  '$unset',
  '$inc',
  '$mul',
  '$min',
  '$max',
  '$rename',
  '$push',
  '$addToSet',
  '$pull',
  '$pullAll',
  '$pop',
  '$currentDate',
])

const PIPELINE = new Set(['$addFields', '$set', '$project', '$unset', '$replaceRoot', '$replaceWith'])

/**
 * An update read once and applied to any number of documents.
 * @param {unknown} update
 * @param {{ arrayFilters?: unknown[], multi?: boolean, variables?: object }} options
 */
export function parseUpdate(update, { arrayFilters = [], multi = false, variables = {} } = {}) {
  if (Array.isArray(update)) {
    for (const stage of update)
      if (!PIPELINE.has(Object.keys(stage)[0]))
        refuse(72, `${Object.keys(stage)[0]} is not allowed to be used within an update`)
    return { kind: 'pipeline', stages: update, variables }
  }
  if (!isPlain(update)) refuse(9, 'Update argument must be either an object or an array')
  const names = Object.keys(update)
  if (!names[0]?.startsWith('$')) {
    if (multi) refuse(9, 'multi update is not supported for replacement-style update')
    const dollar = names.find((name) => name.startsWith('$'))
    if (dollar)
      refuse(
        52,
        `The dollar ($) prefixed field '${dollar}' in '${dollar}' is not allowed in the context of an update's replacement document.`,
      )
    return { kind: 'replacement', document: update }
  }
  const changes = []
  for (const name of names) {
    if (name === '$bit') unsupported(name)
    if (!MODIFIERS.has(name))
      refuse(
        9,
        `Unknown modifier: ${name}. Expected a valid update modifier or pipeline-style update specified as an array`,
      )
    const operands = update[name]
    if (!isPlain(operands)) refuse(9, `Modifiers operate on fields but we found type ${typeName(operands)} instead.`)
    for (const [path, operand] of Object.entries(operands)) {
      if (path === '' || path.split('.').includes(''))
        refuse(56, `The update path '${path}' contains an empty field name, which is not allowed.`)
      changes.push({ name, path, parts: path.split('.'), operand: checked(name, path, operand) })
    }
  }
  refuseConflicts(changes)
  // MongoDB goes through the paths in order, which is also the order in which new members are appended.
  changes.sort((a, b) => (a.path < b.path ? -1 : 1))
  return { kind: 'modifiers', changes, elementTests: elementTests(arrayFilters, changes) }
}

function checked(name, path, operand) {
  switch (name) {
    case '$inc':
    case '$mul':
      if (!isNumber(operand))
        refuse(
          14,
          `Cannot ${name === '$inc' ? 'increment' : 'multiply'} with non-numeric argument: {${path}: ${typeName(operand)}}`,
        )
      return operand
    case '$rename':
      if (typeof operand !== 'string') refuse(2, `The 'to' field for $rename must be a string: ${path}`)
      if (operand === path) refuse(2, `The source and target field for $rename must differ: ${path}`)
      return operand
    case '$push':
    case '$addToSet':
      return eachOf(name, operand)
    case '$pullAll':
      if (!Array.isArray(operand)) refuse(2, `$pullAll requires an array argument but was given a ${typeName(operand)}`)
      return new Set(operand.map(keyOf))
    case '$pull':
      return pullTest(operand)
    case '$pop':
      if (numberOf(operand) !== 1 && numberOf(operand) !== -1)
        refuse(9, `$pop expects 1 or -1, found: ${typeName(operand)}`)
      return numberOf(operand)
    case '$currentDate': {
      const type = isPlain(operand) ? operand.$type : operand === true ? 'date' : undefined
      if (type !== 'date' && type !== 'timestamp')
        refuse(2, '$currentDate takes true or { $type: "date" | "timestamp" }')
      return type
    }
    default:
      return operand
  }
}

function eachOf(name, operand) {
  if (!isPlain(operand) || !Object.hasOwn(operand, '$each')) return { each: [operand] }
  const { $each, $position, $slice, $sort, ...rest } = operand
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) refuse(2, `Unrecognized clause in ${name}: ${unknown}`)
  if (!Array.isArray($each))
    refuse(2, `The argument to $each in ${name} must be an array but it was of type: ${typeName($each)}`)
  if (name === '$addToSet' && ($position ?? $slice ?? $sort) !== undefined)
    refuse(2, 'Found unexpected fields after $each in $addToSet')
  return { each: $each, position: numberOf($position), slice: numberOf($slice), sort: $sort }
}

function pullTest(operand) {
  if (operand instanceof BSONRegExp || (isPlain(operand) && Object.keys(operand)[0]?.startsWith('$'))) {
    const test = matcher(
      parseFilter({ v: isPlain(operand) ? { $elemMatch: operand } : { $elemMatch: { $regex: operand } } }),
    )
    return (element) => test({ v: [element] })
  }
  if (isPlain(operand)) {
    const test = matcher(parseFilter(operand))
    return (element) => isPlain(element) && test(element)
  }
  return (element) => equal(element, operand)
}

function refuseConflicts(changes) {
  const paths = changes.flatMap(({ name, path, operand }) => (name === '$rename' ? [path, operand] : [path])).sort()
  for (const [i, path] of paths.entries()) {
    const next = paths[i + 1]
    if (next === path || next?.startsWith(`${path}.`))
      refuse(40, `Updating the path '${next}' would create a conflict at '${path}'`)
  }
  const all = new Set(paths)
  for (const path of paths)
    for (let end = path.lastIndexOf('.'); end > 0; end = path.lastIndexOf('.', end - 1))
      if (all.has(path.slice(0, end)))
        refuse(40, `Updating the path '${path}' would create a conflict at '${path.slice(0, end)}'`)
}

function elementTests(arrayFilters, changes) {
  const tests = new Map()
  for (const filter of arrayFilters) {
    const names = new Set(Object.keys(filter).map((path) => path.split('.')[0]))
    if (names.size !== 1) refuse(9, 'Error parsing array filter :: caused by :: Expected a single top-level field name')
    const [name] = names
    if (tests.has(name)) refuse(9, `Found multiple array filters with the same top-level field name ${name}`)
    const test = matcher(parseFilter(filter))
    tests.set(name, (element) => test({ [name]: element }))
  }
  const used = new Set(
    changes.flatMap(({ parts }) => parts.map((part) => /^\$\[(.+)\]$/.exec(part)?.[1])).filter(Boolean),
  )
  for (const name of used) if (!tests.has(name)) refuse(2, `No array filter found for identifier '${name}'`)
  for (const name of tests.keys())
    if (!used.has(name)) refuse(9, `The array filter for identifier '${name}' was not used in the update`)
  return tests
}

/**
 * @param {object} update from parseUpdate
 * @param {object} before the document, or what an upsert starts from
 * @param {{ filter: object, inserting?: boolean, now: Date }} context
 * @returns {Record<string, unknown>} a new object
 */
export function applied(update, before, { filter, inserting = false, now }) {
  const original = plainOf(before)
  const after = changed(update, before, original, { filter, inserting, now })
  const id = original._id
  if (id !== undefined && after._id === undefined) return { _id: id, ...after }
  if (id !== undefined && !same(id, after._id))
    refuse(66, "Performing an update on the path '_id' would modify the immutable field '_id'")
  return after
}

function changed(update, before, original, context) {
  switch (update.kind) {
    case 'replacement': {
      const { _id, ...rest } = update.document
      return _id === undefined ? { _id: original._id, ...rest } : { _id, ...rest }
    }
    case 'pipeline':
      return plainOf(runStages(update.stages, [original], update.variables)[0])
    default: {
      const target = structuredCopy(original)
      for (const change of update.changes) {
        if (change.name === '$setOnInsert' && !context.inserting) continue
        for (const parts of places(change.parts, target, before, update, context.filter))
          modify(target, parts, change, context.now)
      }
      return target
    }
  }
}

const same = (a, b) => Buffer.compare(encode({ v: a }), encode({ v: b })) === 0

/** Containers are copied, values shared: values are never changed in place. */
function structuredCopy(value) {
  if (Array.isArray(value)) return value.map(structuredCopy)
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, structuredCopy(member)]))
}

/** The concrete paths of one with `$`, `$[]` or `$[name]` in it. */
function places(parts, target, before, update, filter) {
  const at = parts.findIndex((part) => part.startsWith('$'))
  if (at < 0) return [parts]
  const part = parts[at]
  const [head, tail] = [parts.slice(0, at), parts.slice(at + 1)]
  const more = (i) => places([...head, String(i), ...tail], target, before, update, filter)
  if (part === '$') {
    const position = filter && positionOf(filter, before)
    if (position === undefined) refuse(2, 'The positional operator did not find the match needed from the query.')
    return more(position)
  }
  const name = /^\$\[(.*)\]$/.exec(part)
  if (!name) refuse(52, `The dollar ($) prefixed field '${part}' in '${parts.join('.')}' is not valid for storage.`)
  let values = target
  for (const step of head) values = values?.[step]
  if (values === undefined)
    refuse(2, `The path '${head.join('.')}' must exist in the document in order to apply array updates.`)
  if (!Array.isArray(values)) refuse(2, `Cannot apply array updates to non-array element ${head.at(-1)}`)
  const test = name[1] === '' ? () => true : update.elementTests.get(name[1])
  return values.flatMap((element, i) => (test(element) ? more(i) : []))
}

/** The container of a path's last part, made where that is allowed. */
function containerOf(target, parts, make) {
  let at = target
  for (const [i, part] of parts.slice(0, -1).entries()) {
    check(at, part, parts, i)
    let next = Object.hasOwn(at, part) ? at[part] : undefined
    if (next === undefined) {
      if (!make) return undefined
      next = {}
      assign(at, part, next)
    }
    at = next
  }
  if (typeof at !== 'object' || at === null || !(isPlain(at) || Array.isArray(at))) {
    if (!make) return undefined
    refuse(28, `Cannot create field '${parts.at(-1)}' in element {${parts.at(-2)}: ${typeName(at)}}`)
  }
  if (Array.isArray(at) && !/^\d+$/.test(parts.at(-1))) {
    if (!make) return undefined
    refuse(28, `Cannot create field '${parts.at(-1)}' in element {${parts.at(-2)}: array}`)
  }
  return at
}

function check(at, part, parts, i) {
  if (isPlain(at)) return
  if (Array.isArray(at) && /^\d+$/.test(part)) return
  refuse(28, `Cannot create field '${part}' in element {${parts[i - 1]}: ${typeName(at)}}`)
}

function assign(container, part, value) {
  if (Array.isArray(container)) {
    const at = Number(part)
    if (at > container.length + 1_500_000) refuse(2, "can't backfill more than 1500000 elements")
    while (container.length < at) container.push(null)
  }
  if (part === '__proto__')
    Object.defineProperty(container, part, { value, writable: true, enumerable: true, configurable: true })
  else container[part] = value
}

function modify(target, parts, { name, path, operand }, now) {
  const part = parts.at(-1)
  const make = !(name === '$unset' || name === '$pull' || name === '$pullAll' || name === '$pop' || name === '$rename')
  const container = containerOf(target, parts, make)
  if (container === undefined) return
  const current = Object.hasOwn(container, part) ? container[part] : undefined
  switch (name) {
    case '$set':
    case '$setOnInsert':
      return assign(container, part, operand)
    case '$unset':
      if (Array.isArray(container)) {
        if (current !== undefined) container[part] = null
      } else delete container[part]
      return
    case '$inc':
    case '$mul':
      if (current === undefined)
        return assign(container, part, name === '$inc' ? operand : calculate('multiply', operand, 0))
      if (!isNumber(current))
        refuse(
          14,
          `Cannot apply ${name} to a value of non-numeric type. {_id: ${JSON.stringify(target._id)}} has the field '${part}' of non-numeric type ${typeName(current)}`,
        )
      return assign(container, part, calculate(name === '$inc' ? 'add' : 'multiply', current, operand, true))
    case '$min':
    case '$max':
      if (current === undefined || compare(operand, current) * (name === '$min' ? -1 : 1) > 0)
        assign(container, part, operand)
      return
    case '$currentDate':
      return assign(
        container,
        part,
        operand === 'date' ? now : new Timestamp({ t: Math.floor(now.getTime() / 1000), i: 1 }),
      )
    case '$rename': {
      if (current === undefined) return
      const to = operand.split('.')
      delete container[part]
      const goal = containerOf(target, to, true)
      delete goal[to.at(-1)]
      return assign(goal, to.at(-1), current)
    }
    default:
      return modifyArray(container, part, current, { name, path, operand }, target)
  }
}

function modifyArray(container, part, current, { name, path, operand }, target) {
  if (current === undefined && (name === '$pull' || name === '$pullAll' || name === '$pop')) return
  if (current !== undefined && !Array.isArray(current)) {
    if (name === '$pop') refuse(14, `Path '${path}' contains an element of non-array type '${typeName(current)}'`)
    if (name === '$push' || name === '$addToSet')
      refuse(
        2,
        `The field '${part}' must be an array but is of type ${typeName(current)} in document {_id: ${JSON.stringify(target._id)}}`,
      )
    refuse(2, `Cannot apply ${name} to a non-array value`)
  }
  const values = current ?? []
  switch (name) {
    case '$push': {
      const { each, position, slice, sort } = operand
      const at =
        position === undefined ? values.length : position < 0 ? Math.max(0, values.length + position) : position
      let out = [...values.slice(0, at), ...each, ...values.slice(at)]
      if (sort !== undefined) out = sortedElements(out, sort)
      if (slice !== undefined) out = slice < 0 ? out.slice(slice) : out.slice(0, slice)
      return assign(container, part, out)
    }
    case '$addToSet': {
      const keys = new Set(values.map(keyOf))
      const out = values.slice()
      for (const value of operand.each) {
        if (keys.has(keyOf(value))) continue
        keys.add(keyOf(value))
        out.push(value)
      }
      return assign(container, part, out)
    }
    case '$pull':
      return assign(
        container,
        part,
        values.filter((value) => !operand(value)),
      )
    case '$pullAll':
      return assign(
        container,
        part,
        values.filter((value) => !operand.has(keyOf(value))),
      )
    default:
      return assign(container, part, operand === 1 ? values.slice(0, -1) : values.slice(1))
  }
}

function sortedElements(values, sort) {
  const direction = numberOf(sort)
  if (direction !== undefined) return values.slice().sort((a, b) => compare(a, b) * direction)
  return sorted(
    values.map((value) => (isPlain(value) ? value : refuse(2, '$sort of $push sorts sub-documents only'))),
    parseSort(sort).fields,
  )
}

/** What an upsert starts from: the values the filter asks to be equal. */
export function upsertBase(filter, replacement) {
  const base = {}
  const visit = (query) => {
    for (const [path, value] of Object.entries(query)) {
      if (path === '$and') for (const inner of value) visit(inner)
      else if (path === '$or' && value.length === 1) visit(value[0])
      else if (!path.startsWith('$')) {
        const wanted = wantedValue(value)
        if (wanted !== undefined && (!replacement || path === '_id')) setOnce(base, path, wanted)
      }
    }
  }
  visit(filter)
  return base
}

function wantedValue(value) {
  if (value instanceof BSONRegExp) return undefined
  if (!isPlain(value) || !Object.keys(value)[0]?.startsWith('$')) return value
  if (Object.hasOwn(value, '$eq')) return value.$eq
  for (const list of ['$in', '$all']) if (Array.isArray(value[list]) && value[list].length === 1) return value[list][0]
  return undefined
}

function setOnce(base, path, value) {
  const parts = path.split('.')
  const container = containerOf(base, parts, true)
  const part = parts.at(-1)
  if (Object.hasOwn(container, part) && !equal(container[part], value))
    refuse(54, `cannot infer query fields to set, path '${path}' is matched twice`)
  assign(container, part, value)
}
