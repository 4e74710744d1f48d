/**
 * aggregate: what an index can answer first, the rest over the documents found.
 *
 * https://www.mongodb.com/docs/manual/reference/command/aggregate/
 */
import { documentFrom, isPlain, numberOf, plainOf } from '../bson.mjs'
import { ChangeStream } from '../changes.mjs'
import { refuse, unsupported } from '../errors.mjs'
import { execute } from '../execute.mjs'
import { parseFilter } from '../filter.mjs'
import { keyOf } from '../keys.mjs'
import { checkStages, runStages } from '../pipeline.mjs'
import { parseSort } from '../sort.mjs'
import { Collection, checkNamespace, storable } from '../store.mjs'
import { sizesOf } from './collections.mjs'
import { countOf, nonNegative, refuseCollation } from './reads.mjs'

const FIELDS = [
  'pipeline',
  'cursor',
  'explain',
  'allowDiskUse',
  'bypassDocumentValidation',
  'collation',
  'hint',
  'let',
  'fromMongos',
  'needsMerge',
]

const nameOfStage = (stage) => Object.keys(stage)[0]

/**
 * The leading stages that are a query: filters, then an order, then how many.
 * @returns {{ query: object, rest: object[] }}
 */
export function leading(context, namespace, pipeline, { hint, variables }) {
  const filters = []
  let at = 0
  while (pipeline[at]?.$match) filters.push(parseFilter(pipeline[at++].$match, variables))
  const sort = pipeline[at]?.$sort ? parseSort(pipeline[at++].$sort) : parseSort(undefined)
  let skip = 0
  if (pipeline[at]?.$skip !== undefined) skip = numberOf(pipeline[at++].$skip)
  const limit = pipeline[at]?.$limit !== undefined ? numberOf(pipeline[at++].$limit) : 0
  return {
    query: {
      namespace,
      filter: filters.length === 1 ? filters[0] : { op: 'and', of: filters },
      sort,
      hint,
      skip,
      limit: limit === 0 ? 0 : skip + limit,
      noScan: context.server.parameters.notablescan,
      deadline: context.deadline,
    },
    rest: pipeline.slice(at),
  }
}

/** Whether a stage only asks how many there are. */
function countedName(rest) {
  const [stage, ...others] = rest
  if (others.length > 0 || !stage) return undefined
  if (stage.$count !== undefined) return { make: (n) => ({ [stage.$count]: n }) }
  const group = stage.$group
  if (!isPlain(group) || Object.keys(group).length !== 2) return undefined
  const [name, accumulator] = Object.entries(group).find(([member]) => member !== '_id') ?? []
  if (group._id !== null && numberOf(group._id) === undefined) return undefined
  if (!isPlain(accumulator) || accumulator.$sum !== 1) return undefined
  return { make: (n) => ({ _id: group._id, [name]: n }) }
}

function found(context, namespace, pipeline, { hint, variables }) {
  const { query, rest } = leading(context, namespace, pipeline, { hint, variables })
  const counted =
    query.skip === 0 && query.limit === 0 && query.sort.fields.length === 0 ? countedName(rest) : undefined
  if (counted) {
    const { count } = countOf(context.view, query)
    return count === 0 ? [] : [counted.make(count)]
  }
  const elsewhere = {
    /** Its leading stages are a query there too, and find their index. */
    run: (name, stages, inner) =>
      found(context, context.namespace(name), stages, { hint: undefined, variables: inner }),
    find: (name, filter, inner) =>
      found(context, context.namespace(name), [{ $match: filter }], { hint: undefined, variables: inner }),
  }
  return runStages(rest, taken(execute(context.view, query).documents, query), variables, elsewhere)
}

function taken(documents, { skip, limit }) {
  const out = []
  let at = 0
  for (const document of documents) {
    if (at++ >= skip) out.push(document)
    if (limit > 0 && at >= limit) break
  }
  return out
}

function openStream(context, body, namespace, database) {
  const [first, ...stages] = body.pipeline
  const options = first.$changeStream
  const scope = options.allChangesForCluster ? {} : body.aggregate === 1 ? { database } : { namespace }
  const stream = new ChangeStream(context.store, scope, options, stages)
  const { cursors } = context.server
  const batchSize = nonNegative(body.cursor.batchSize, 'batchSize')
  const firstBatch = batchSize === 0 ? [] : stream.take(batchSize ?? 101)
  const cursor = { namespace, stream, session: context.sessionKey, transaction: undefined }
  const id = cursors.keep(cursor)
  return { cursor: { firstBatch, postBatchResumeToken: stream.token, id, ns: namespace } }
}

/** `$out` and `$merge` write what came of the stages before them. */
function write(context, stage, documents) {
  const { store } = context
  const specification = stage.$out ?? stage.$merge
  const into = isPlain(specification) && stage.$merge ? specification.into : specification
  if (typeof into !== 'string') unsupported('$out and $merge into another database')
  const namespace = `${context.database}.${into}`
  checkNamespace(namespace)
  if (stage.$out) {
    const { main } = store
    const old = main.get(namespace)
    if (old && old.indexes.length > 1) unsupported('$out into a collection with indexes')
    main.collections.set(namespace, new Collection(namespace, old?.options))
    store.committed([{ kind: old ? 'drop' : 'create', namespace }])
    for (const document of documents) context.writer.insert(namespace, storable(documentFrom(plainOf(document))))
    return
  }
  const {
    on = '_id',
    whenMatched = 'merge',
    whenNotMatched = 'insert',
    ...rest
  } = typeof specification === 'string' ? {} : specification
  const { into: _into, ...unknown } = rest
  if (Object.keys(unknown).length > 0 || on !== '_id') unsupported('these options of $merge')
  for (const one of documents) {
    const document = storable(documentFrom(plainOf(one)))
    const existing = store.main.get(namespace)?.byId(keyOf(document.get('_id')))
    if (!existing) {
      if (whenNotMatched === 'insert') context.writer.insert(namespace, document)
      else if (whenNotMatched === 'fail')
        refuse(13113, '$merge could not find a matching document in the target collection')
      continue
    }
    switch (whenMatched) {
      case 'replace':
        context.writer.replace(namespace, existing, document, true)
        break
      case 'merge':
        context.writer.replace(
          namespace,
          existing,
          documentFrom({ ...existing.toObject(), ...document.toObject() }),
          false,
        )
        break
      case 'keepExisting':
        break
      case 'fail':
        refuse(11000, '$merge failed due to a DuplicateKey error')
        break
      default:
        unsupported('this whenMatched of $merge')
    }
  }
}

export const aggregation = {
  aggregate: {
    fields: FIELDS,
    inTransaction: 'yes',
    snapshots: true,
    async run(context, body) {
      const { pipeline } = body
      if (!Array.isArray(pipeline)) refuse(14, "'pipeline' option must be specified as an array")
      if (body.explain) unsupported('the option explain of aggregate; use the command explain')
      if (!isPlain(body.cursor))
        refuse(9, "The 'cursor' option is required, except for aggregate with the explain argument")
      refuseCollation(body.collation)
      checkStages(pipeline)
      const late = pipeline.findIndex((stage) => nameOfStage(stage) === '$changeStream')
      if (late > 0) refuse(40602, '$changeStream is only valid as the first stage in a pipeline.')
      const wholeDatabase = numberOf(body.aggregate) === 1
      const namespace = wholeDatabase ? `${context.database}.$cmd.aggregate` : context.namespace(body.aggregate)
      if (late === 0) {
        if (context.transaction) refuse(263, '$changeStream cannot be used in a transaction')
        return openStream(context, body, namespace, context.database)
      }
      const writing = pipeline.findIndex((stage) => stage.$out !== undefined || stage.$merge !== undefined)
      if (writing >= 0 && context.transaction)
        refuse(263, `${nameOfStage(pipeline[writing])} cannot be used in a transaction`)
      if (writing >= 0 && writing < pipeline.length - 1)
        refuse(40601, `${nameOfStage(pipeline[writing])} can only be the final stage in the pipeline`)
      const stages = writing < 0 ? pipeline : pipeline.slice(0, writing)
      let documents = await context.unblocked(
        () =>
          special(context, namespace, stages) ??
          found(context, namespace, stages, { hint: body.hint, variables: body.let ?? {} }),
      )
      if (writing >= 0) {
        await context.unblocked(() => write(context, pipeline[writing], documents))
        documents = []
      }
      return context.server.cursors.first(documents[Symbol.iterator](), {
        namespace,
        batchSize: nonNegative(body.cursor.batchSize, 'batchSize'),
        session: context.sessionKey,
        transaction: context.transaction ? context.number : undefined,
      })
    },
  },
}

/** Stages that begin with something else than the documents of the collection. */
function special(context, namespace, stages) {
  const [first, ...rest] = stages
  if (first?.$collStats !== undefined) {
    const { count, storageStats, ...others } = first.$collStats
    if (Object.keys(others).length > 0) unsupported('these options of $collStats')
    const collection = context.view.get(namespace)
    if (!collection) refuse(26, `Collection [${namespace}] not found.`)
    const sizes = sizesOf(collection)
    const row = {
      ns: namespace,
      ...(storageStats ? { storageStats: sizes } : {}),
      ...(count ? { count: sizes.count } : {}),
    }
    return runStages(rest, [row])
  }
  if (first?.$indexStats !== undefined) {
    const collection = context.view.get(namespace)
    const rows = (collection?.indexes ?? []).map(({ name, specification }) => ({
      name,
      key: specification.key,
      spec: specification,
    }))
    return runStages(rest, rows)
  }
  if (first?.$currentOp !== undefined) return runStages(rest, [])
  return undefined
}
