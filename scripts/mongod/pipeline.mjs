/**
 * Aggregation stages over documents in memory.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/
 */
import { Long } from 'bson'
import { Document, field, isPlain, numberOf, plainOf } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { averageOf, compileExpression, extreme, sumOf, valueAt } from './expression.mjs'
import { parseFilter } from './filter.mjs'
import { keyOf } from './keys.mjs'
import { matcher } from './match.mjs'
import { projection, setAt } from './project.mjs'
import { parseSort, sorted } from './sort.mjs'

/**
 * What stages that look elsewhere need.
 * @typedef {object} Elsewhere
 * @property {(collection: string, filter: object, variables: object) => object[]} find
 * @property {(collection: string, stages: object[], variables: object) => object[]} run
 */

/**
 * @param {object[]} stages
 * @param {object[]} documents
 * @param {Record<string, unknown>} [variables]
 * @param {Elsewhere} [elsewhere]
 * @returns {object[]}
 */
export function runStages(stages, documents, variables = {}, elsewhere = undefined) {
  let out = documents
  for (const stage of stages) {
    const [name] = Object.keys(stage)
    out = STAGES[name](stage[name], out, variables, elsewhere)
  }
  return out
}

/** Every stage is looked at before the first one runs. */
export function checkStages(stages) {
  for (const stage of stages) {
    if (!isPlain(stage)) refuse(14, "Each element of the 'pipeline' array must be an object")
    const names = Object.keys(stage)
    if (names.length !== 1) refuse(40323, 'A pipeline stage specification object must contain exactly one field.')
    if (REFUSED.has(names[0])) unsupported(`the stage ${names[0]}`)
    if (!Object.hasOwn(STAGES, names[0])) refuse(40324, `Unrecognized pipeline stage name: '${names[0]}'`)
    CHECKS[names[0]]?.(stage[names[0]])
  }
}

const REFUSED = new Set([
  '$bucket',
  '$bucketAuto',
  '$densify',
  '$documents',
  '$fill',
  '$geoNear',
  '$listSessions',
  '$planCacheStats',
  '$redact',
  '$search',
  '$setWindowFields',
  '$vectorSearch',
])

const elsewhereOnly = (name) => (_specification, _documents, _variables) => unsupported(`${name} in this place`)

const wholeNumber = (value, code, text) => {
  const number = numberOf(value)
  if (number === undefined || !Number.isInteger(number)) refuse(code, text)
  return number
}

const CHECKS = {
  $match: (filter) => parseFilter(filter),
  $limit: (value) => {
    if (wholeNumber(value, 2107201, 'invalid argument to $limit stage: Expected an integer') <= 0)
      refuse(15958, 'the limit must be positive')
  },
  $skip: (value) => {
    if (wholeNumber(value, 2107200, 'invalid argument to $skip stage: Expected an integer') < 0)
      refuse(5107200, 'invalid argument to $skip stage: Expected a non-negative number')
  },
  $sort: (specification) => {
    if (isPlain(specification) && Object.keys(specification).length === 0)
      refuse(15976, '$sort stage must have at least one sort key')
    parseSort(specification)
  },
  $project: (specification) => {
    if (isPlain(specification) && Object.keys(specification).length === 0)
      refuse(51272, 'Invalid $project :: caused by :: projection specification must have at least one field')
    projection(specification)
  },
  $group: (specification) => {
    if (!isPlain(specification)) refuse(15947, "a group's fields must be specified in an object")
    if (!Object.hasOwn(specification, '_id')) refuse(15955, 'a group specification must include an _id')
    grouping(specification)
  },
  $count: (name) => {
    if (typeof name !== 'string' || name === '' || name.startsWith('$') || name.includes('.'))
      refuse(40156, 'the count field must be a non-empty string')
  },
  $lookup: (specification) => {
    if (specification.pipeline) checkStages(specification.pipeline)
  },
  $unionWith: (specification) => {
    if (specification.pipeline) checkStages(specification.pipeline)
  },
  $facet: (specification) => {
    for (const stages of Object.values(specification)) checkStages(stages)
  },
}

const STAGES = {
  $match: (filter, documents, variables) => documents.filter(matcher(parseFilter(filter, variables))),
  $sort: (specification, documents) => sorted(documents, parseSort(specification).fields),
  $limit: (count, documents) => documents.slice(0, numberOf(count)),
  $skip: (count, documents) => documents.slice(numberOf(count)),
  $count: (name, documents) => (documents.length === 0 ? [] : [{ [name]: documents.length }]),
  $project: (specification, documents, variables) => documents.map(projection(specification, { variables })),
  $unset: (paths, documents, variables) =>
    documents.map(projection(Object.fromEntries([paths].flat().map((path) => [path, 0])), { variables })),
  $addFields: addFields,
  $set: addFields,
  $replaceRoot: (specification, documents, variables) => replaceRoot(specification.newRoot, documents, variables),
  $replaceWith: replaceRoot,
  $group: (specification, documents, variables) => grouping(specification)(documents, variables),
  $sortByCount: (expression, documents, variables) =>
    sorted(grouping({ _id: expression, count: { $sum: 1 } })(documents, variables), parseSort({ count: -1 }).fields),
  $unwind: unwind,
  $sample: ({ size }, documents) => {
    const left = documents.slice()
    return Array.from(
      { length: Math.min(numberOf(size), left.length) },
      () => left.splice(Math.floor(Math.random() * left.length), 1)[0],
    )
  },
  $facet: (specification, documents, variables, elsewhere) => [
    Object.fromEntries(
      Object.entries(specification).map(([name, stages]) => [name, runStages(stages, documents, variables, elsewhere)]),
    ),
  ],
  $lookup: lookup,
  $graphLookup: graphLookup,
  $unionWith: (specification, documents, variables, elsewhere) => {
    const { coll, pipeline = [] } = typeof specification === 'string' ? { coll: specification } : specification
    return [...documents, ...elsewhere.run(coll, pipeline, variables)]
  },
  $out: elsewhereOnly('$out'),
  $merge: elsewhereOnly('$merge'),
  $changeStream: elsewhereOnly('$changeStream'),
  $collStats: elsewhereOnly('$collStats'),
  $indexStats: elsewhereOnly('$indexStats'),
  $currentOp: elsewhereOnly('$currentOp'),
}

const scope = (variables, document) => ({ ...variables, ROOT: document, CURRENT: document })

function addFields(specification, documents, variables) {
  const added = Object.entries(specification).map(([path, value]) => [path.split('.'), compileExpression(value)])
  return documents.map((document) => {
    const out = document instanceof Document ? document.toObject() : { ...document }
    for (const [parts, run] of added) {
      const value = run(document, scope(variables, document))
      if (parts.length === 1) {
        if (value === undefined) delete out[parts[0]]
        else out[parts[0]] = value
        continue
      }
      if (isPlain(out[parts[0]])) out[parts[0]] = ownCopy(out[parts[0]])
      setAt(out, parts, value)
    }
    return out
  })
}

/** Sub-documents are copied before a member is set in them; they may belong to other documents too. */
function ownCopy(value) {
  return isPlain(value)
    ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, ownCopy(member)]))
    : value
}

function replaceRoot(expression, documents, variables) {
  const run = compileExpression(expression)
  return documents.map((document) => {
    const root = run(document, scope(variables, document))
    if (!isPlain(root) && !(root instanceof Document)) refuse(40228, "'newRoot' expression must evaluate to an object")
    return root
  })
}

const ACCUMULATORS = {
  $sum: sumOf,
  $avg: averageOf,
  $min: (values) => extreme(values, -1),
  $max: (values) => extreme(values, 1),
  $first: (values) => values[0] ?? null,
  $last: (values) => values.at(-1) ?? null,
  $push: (values) => values.filter((value) => value !== undefined),
  $addToSet: (values) => [
    ...new Map(values.filter((value) => value !== undefined).map((value) => [keyOf(value), value])).values(),
  ],
  $mergeObjects: (values) => Object.assign({}, ...values.filter((value) => value).map(plainOf)),
}

function grouping({ _id, ...members }) {
  const keyed = compileExpression(_id)
  const accumulated = Object.entries(members).map(([name, accumulator]) => {
    const [operator] = isPlain(accumulator) ? Object.keys(accumulator) : []
    if (operator === undefined) refuse(40234, `The field '${name}' must be an accumulator object`)
    if (operator === '$count') return [name, () => 1, sumOf]
    if (!Object.hasOwn(ACCUMULATORS, operator)) refuse(15952, `unknown group operator '${operator}'`)
    return [name, compileExpression(accumulator[operator]), ACCUMULATORS[operator]]
  })
  return (documents, variables) => {
    const groups = new Map()
    for (const document of documents) {
      const variablesHere = scope(variables, document)
      const id = keyed(document, variablesHere) ?? null
      const key = keyOf(id)
      let group = groups.get(key)
      if (!group) {
        group = { id, values: accumulated.map(() => []) }
        groups.set(key, group)
      }
      for (const [i, [, run]] of accumulated.entries()) group.values[i].push(run(document, variablesHere))
    }
    return [...groups.values()].map(({ id, values }) => {
      const out = { _id: id }
      for (const [i, [name, , combine]] of accumulated.entries()) out[name] = combine(values[i])
      return out
    })
  }
}

function unwind(specification, documents) {
  const { path, preserveNullAndEmptyArrays, includeArrayIndex } =
    typeof specification === 'string' ? { path: specification } : specification
  if (typeof path !== 'string' || !path.startsWith('$'))
    refuse(28818, "path option to $unwind stage should be prefixed with a '$'")
  const parts = path.slice(1).split('.')
  const withValue = (document, value, at) => {
    const out = ownCopy(plainOf(document))
    if (value !== undefined) setAt(out, parts, value)
    if (includeArrayIndex) out[includeArrayIndex] = at === null ? null : Long.fromNumber(at)
    return out
  }
  return documents.flatMap((document) => {
    const value = valueAt(document, parts, 0)
    if (Array.isArray(value) && value.length > 0) return value.map((element, at) => withValue(document, element, at))
    if (value !== undefined && value !== null && !Array.isArray(value)) return [withValue(document, undefined, null)]
    if (!preserveNullAndEmptyArrays) return []
    const out = withValue(document, undefined, null)
    if (Array.isArray(value) && parts.length === 1) delete out[parts[0]]
    return [out]
  })
}

function lookup(specification, documents, variables, elsewhere) {
  const { from, localField, foreignField, as, let: bound = {}, pipeline = [], ...rest } = specification
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) refuse(9, `unknown argument to $lookup: ${unknown}`)
  if (typeof from !== 'string') unsupported('$lookup from another database')
  if (typeof as !== 'string') refuse(9, "must specify 'as' field for a $lookup")
  const computed = Object.entries(bound).map(([name, value]) => [name, compileExpression(value)])
  return documents.map((document) => {
    const inner = { ...variables }
    for (const [name, run] of computed) inner[name] = run(document, scope(variables, document))
    const found =
      localField === undefined
        ? elsewhere.run(from, pipeline, inner)
        : runStages(
            pipeline,
            elsewhere.find(from, { [foreignField]: { $in: localValues(document, localField) } }, inner),
            inner,
            elsewhere,
          )
    const out = ownCopy(plainOf(document))
    setAt(out, as.split('.'), found.map(plainOf))
    return out
  })
}

/** What a local field is joined by: each element of an array, and null where there is nothing. */
function localValues(document, path) {
  const value = valueAt(document, path.split('.'), 0)
  return value === undefined ? [null] : Array.isArray(value) ? value : [value]
}

function graphLookup(specification, documents, variables, elsewhere) {
  const {
    from,
    startWith,
    connectFromField,
    connectToField,
    as,
    maxDepth,
    depthField,
    restrictSearchWithMatch = {},
    ...rest
  } = specification
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) refuse(40104, `Unknown argument to $graphLookup: ${unknown}`)
  const start = compileExpression(startWith)
  const deepest = maxDepth === undefined ? Number.POSITIVE_INFINITY : numberOf(maxDepth)
  return documents.map((document) => {
    const first = start(document, scope(variables, document))
    const found = new Map()
    let frontier = Array.isArray(first) ? first : [first ?? null]
    for (let depth = 0; depth <= deepest && frontier.length > 0; depth++) {
      const next = []
      const filter = { $and: [{ [connectToField]: { $in: frontier } }, restrictSearchWithMatch] }
      for (const one of elsewhere.find(from, filter, variables)) {
        const key = keyOf(field(one, '_id'))
        if (found.has(key)) continue
        const out = plainOf(one)
        found.set(key, depthField ? { ...out, [depthField]: Long.fromNumber(depth) } : out)
        const value = valueAt(one, connectFromField.split('.'), 0)
        if (value !== undefined) next.push(...(Array.isArray(value) ? value : [value]))
      }
      frontier = next
    }
    const out = ownCopy(plainOf(document))
    setAt(out, as.split('.'), [...found.values()])
    return out
  })
}
