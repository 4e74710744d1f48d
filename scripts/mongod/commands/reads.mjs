/**
 * find, count and distinct.
 *
 * https://www.mongodb.com/docs/manual/reference/command/nav-crud/
 */
import { field, isPlain, numberOf, typeName } from '../bson.mjs'
import { refuse, unsupported } from '../errors.mjs'
import { countByKeys, execute } from '../execute.mjs'
import { parseFilter } from '../filter.mjs'
import { keyOf } from '../keys.mjs'
import { isPosition } from '../paths.mjs'
import { plansFor } from '../planner.mjs'
import { projection } from '../project.mjs'
import { parseSort } from '../sort.mjs'

const FIND_FIELDS = [
  'filter',
  'sort',
  'projection',
  'hint',
  'skip',
  'limit',
  'batchSize',
  'singleBatch',
  'noCursorTimeout',
  'allowDiskUse',
  'allowPartialResults',
  'returnKey',
  'showRecordId',
  'tailable',
  'awaitData',
  'oplogReplay',
  'max',
  'min',
  'collation',
  'let',
]

/** Only the order of bytes is known here. */
export function refuseCollation(collation) {
  if (collation === undefined) return
  if (!isPlain(collation)) refuse(14, "Expected field 'collation' to be of type object")
  if (collation.locale !== 'simple' && Object.keys(collation).length > 0) unsupported('collations')
}

export function nonNegative(value, name) {
  if (value === undefined || value === null) return undefined
  const number = numberOf(value)
  if (number === undefined) refuse(14, `Expected field '${name}' to be a number`)
  if (number < 0)
    refuse(2, `${name[0].toUpperCase()}${name.slice(1)} value must be non-negative, but received: ${number}`)
  return number
}

/** A find read into a query; anything unknown is refused here. */
export function findQuery(context, body) {
  const namespace = context.namespace(body.find, 'find')
  const { filter = {} } = body
  if (!isPlain(filter))
    refuse(9, `Failed to parse: filter: ${JSON.stringify(filter)}. 'filter' field must be of BSON type object.`)
  for (const option of ['returnKey', 'showRecordId', 'tailable', 'awaitData', 'max', 'min'])
    if (body[option] !== undefined && body[option] !== false) unsupported(`the option ${option} of find`)
  refuseCollation(body.collation)
  const variables = body.let ?? {}
  const skip = nonNegative(body.skip, 'skip') ?? 0
  const limit = nonNegative(body.limit, 'limit') ?? 0
  const parsed = parseFilter(filter, variables)
  return {
    namespace,
    filter: parsed,
    sort: parseSort(body.sort),
    hint: body.hint,
    skip,
    limit: limit === 0 ? 0 : limit + skip,
    noScan: context.server.parameters.notablescan,
    deadline: context.deadline,
    project: projection(body.projection, { find: true, filter: parsed, variables }),
    batchSize: nonNegative(body.batchSize, 'batchSize'),
  }
}

/** Skipped, and as they are to be answered; the limit is kept by the cursor. */
export function* answered(documents, { skip, project }) {
  let skipped = 0
  for (const document of documents) {
    if (skipped < skip) skipped++
    else yield project ? project(document) : document
  }
}

const COUNT_FIELDS = ['query', 'limit', 'skip', 'hint', 'collation', 'fields']

export function countQuery(context, body) {
  refuseCollation(body.collation)
  return {
    namespace: context.namespace(body.count),
    filter: parseFilter(body.query ?? {}),
    sort: parseSort(undefined),
    hint: body.hint,
    skip: nonNegative(body.skip, 'skip') ?? 0,
    limit: Math.abs(numberOf(body.limit) ?? 0),
    noScan: context.server.parameters.notablescan,
    deadline: context.deadline,
  }
}

/** How many documents a query finds, by keys alone where that is possible. */
export function countOf(view, query, counts = { keys: 0, documents: 0 }) {
  const collection = view.get(query.namespace)
  if (!collection) return { count: 0, counts, plan: { kind: 'nothing' } }
  if (query.filter.op === 'and' && query.filter.of.length === 0 && query.hint === undefined)
    return { count: collection.records.size, counts, plan: { kind: 'records' } }
  const covered = plansFor(collection, query).find((plan) => plan.kind === 'index' && plan.exact)
  if (covered) return { count: countByKeys(covered, counts), counts, plan: { ...covered, counting: true } }
  const run = execute(view, query)
  let count = 0
  for (const _ of run.documents) count++
  return { count, counts: run.counts, plan: run.plan }
}

/** Every value at a path, arrays entered once wherever one is met. */
function valuesAt(container, parts, at) {
  const value = field(container, parts[at])
  if (value === undefined) return []
  if (at === parts.length - 1) return Array.isArray(value) ? value : [value]
  if (isPlain(value)) return valuesAt(value, parts, at + 1)
  if (!Array.isArray(value)) return []
  if (isPosition(parts[at + 1])) unsupported('distinct values at a place in an array')
  return value.flatMap((element) => (isPlain(element) ? valuesAt(element, parts, at + 1) : []))
}

export function distinctValues(documents, path) {
  const values = new Map()
  for (const document of documents) {
    for (const value of valuesAt(document, path.split('.'), 0)) values.set(keyOf(value), value)
  }
  return [...values].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}

export const reads = {
  find: {
    fields: FIND_FIELDS,
    unknownField: 9,
    inTransaction: 'yes',
    snapshots: true,
    run(context, body) {
      const query = findQuery(context, body)
      const run = execute(context.view, query)
      const reply = context.server.cursors.first(answered(run.documents, query), {
        namespace: query.namespace,
        batchSize: query.batchSize,
        limit: query.limit === 0 ? undefined : query.limit - query.skip,
        single: body.singleBatch === true,
        session: context.sessionKey,
        transaction: context.transaction ? context.number : undefined,
      })
      if (!reply.cursor.id.isZero()) context.view.freeze()
      return reply
    },
  },

  count: {
    fields: COUNT_FIELDS,
    run(context, body) {
      const query = countQuery(context, body)
      const { count } = countOf(context.view, { ...query, limit: 0 })
      const rest = Math.max(0, count - query.skip)
      return { n: query.limit > 0 ? Math.min(query.limit, rest) : rest }
    },
  },

  distinct: {
    fields: ['key', 'query', 'collation', 'hint'],
    inTransaction: 'yes',
    snapshots: true,
    run(context, body) {
      if (typeof body.key !== 'string')
        refuse(14, `BSON field 'distinct.key' is the wrong type '${typeName(body.key)}'`)
      refuseCollation(body.collation)
      const run = execute(context.view, {
        namespace: context.namespace(body.distinct),
        filter: parseFilter(body.query ?? {}),
        sort: parseSort(undefined),
        hint: body.hint,
        noScan: context.server.parameters.notablescan,
        deadline: context.deadline,
      })
      return { values: distinctValues(run.documents, body.key) }
    },
  },
}
