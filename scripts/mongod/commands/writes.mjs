/**
 * insert, update, delete and findAndModify.
 *
 * https://www.mongodb.com/docs/manual/reference/command/nav-crud/
 */
import { ObjectId } from 'bson'
import { documentFrom, numberOf } from '../bson.mjs'
import { CommandError, refuse, unsupported } from '../errors.mjs'
import { execute } from '../execute.mjs'
import { parseFilter } from '../filter.mjs'
import { projection } from '../project.mjs'
import { parseSort } from '../sort.mjs'
import { storable } from '../store.mjs'
import { applied, parseUpdate, upsertBase } from '../update.mjs'
import { refuseCollation } from './reads.mjs'

const BATCH_MAX = 100_000

/** Errors that end the whole command instead of one statement. */
const FATAL = new Set([50, 112, 251, 246])

function checkBatch(list, name) {
  if (!Array.isArray(list)) refuse(40414, `BSON field '${name}' is missing but a required field`)
  if (list.length < 1 || list.length > BATCH_MAX)
    refuse(16, `Write batch sizes must be between 1 and ${BATCH_MAX}. Got ${list.length} operations.`)
}

/**
 * Runs statements one after the other; a statement of a retryable write that was done before only answers again.
 * @param {(statement: object, progress: { n: number, modified: number, records: Set<number> }) => object} run may be
 *   called again where a transaction was in the way; `progress` holds what it has done by then
 */
async function statements(context, body, list, run) {
  if (body.bypassDocumentValidation === true) unsupported('bypassDocumentValidation')
  const ordered = body.ordered !== false
  const results = []
  const writeErrors = []
  for (const [index, statement] of list.entries()) {
    const number = statementNumber(body, index)
    if (context.retryable && context.session.done.has(number)) {
      results.push({ index, ...context.session.done.get(number) })
      continue
    }
    try {
      const progress = newProgress()
      const result = await context.unblocked(() => run(statement, progress))
      if (context.retryable) context.session.done.set(number, result)
      results.push({ index, ...result })
    } catch (error) {
      if (!(error instanceof CommandError) || FATAL.has(error.code)) throw error
      writeErrors.push({ index, code: error.code, ...error.more, errmsg: error.message })
      if (ordered || context.transaction) break
    }
  }
  return { results, errors: writeErrors.length > 0 ? { writeErrors } : {} }
}

const newProgress = () => ({ n: 0, modified: 0, records: new Set() })

function statementNumber(body, index) {
  if (Array.isArray(body.stmtIds)) return numberOf(body.stmtIds[index])
  return numberOf(body.stmtId ?? 0) + index
}

function* matching(context, namespace, filter, { hint, sort }) {
  yield* execute(context.view, {
    namespace,
    filter,
    sort: sort ?? { fields: [] },
    hint,
    noScan: context.server.parameters.notablescan,
    deadline: context.deadline,
  }).documents
}

function update(context, namespace, { filter, change, multi, upsert, hint, sort, query }, progress) {
  const { writer } = context
  const found = []
  for (const document of matching(context, namespace, filter, { hint, sort })) {
    if (!progress.records.has(document.rid)) found.push(document)
    if (!multi) break
  }
  if (found.length === 0 && progress.n === 0 && upsert) return inserted(context, namespace, { filter, change, query })
  let after
  for (const before of found) {
    after = documentFrom(applied(change, before, { filter, now: new Date() }))
    const same = Buffer.compare(after.raw, before.raw) === 0
    if (same) after = before
    else writer.replace(namespace, before, after, change.kind === 'replacement')
    progress.n++
    progress.records.add(before.rid)
    if (!same) progress.modified++
  }
  return { n: progress.n, modified: progress.modified, before: found[0], after }
}

function inserted(context, namespace, { filter, change, query }) {
  const { writer } = context
  // The collection comes into being with its first document.
  writer.collection(namespace)
  const base = upsertBase(query, change.kind === 'replacement')
  const object = applied(change, base, { filter, inserting: true, now: new Date() })
  const { _id, ...rest } = object
  const document = storable(documentFrom({ _id: _id === undefined ? new ObjectId() : _id, ...rest }))
  writer.insert(namespace, document)
  return { n: 1, modified: 0, upserted: document.get('_id'), inserted: true, after: document }
}

const UPDATE_FIELDS = new Set([
  'q',
  'u',
  'c',
  'multi',
  'upsert',
  'hint',
  'collation',
  'arrayFilters',
  'sort',
  'sampleId',
])

function checkFields(statement, allowed, name) {
  for (const field of Object.keys(statement))
    if (!allowed.has(field)) refuse(40415, `BSON field '${name}.${field}' is an unknown field.`)
}

const MODIFY_FIELDS = [
  'query',
  'sort',
  'remove',
  'update',
  'new',
  'fields',
  'upsert',
  'bypassDocumentValidation',
  'collation',
  'arrayFilters',
  'hint',
  'let',
  'stmtId',
]

const findAndModify = {
  fields: MODIFY_FIELDS,
  writes: true,
  inTransaction: 'yes',
  async run(context, body) {
    const namespace = context.namespace(body.findAndModify ?? body.findandmodify)
    refuseCollation(body.collation)
    const { query = {}, remove = false, upsert = false } = body
    if (remove && body.update !== undefined) refuse(9, 'Cannot specify both an update and remove=true')
    if (!remove && body.update === undefined) refuse(9, 'Either an update or remove=true must be specified')
    if (remove && body.new)
      refuse(9, "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document")
    if (remove && upsert) refuse(9, 'Cannot specify both upsert=true and remove=true')
    const number = numberOf(body.stmtId ?? 0)
    if (context.retryable && context.session.done.has(number)) return context.session.done.get(number)
    const variables = body.let ?? {}
    const filter = parseFilter(query, variables)
    const sort = parseSort(body.sort)
    const project = projection(body.fields, { find: true, filter, variables }) ?? ((document) => document)
    const shown = (document) => (document ? project(document) : null)
    const change = remove ? undefined : parseUpdate(body.update, { arrayFilters: body.arrayFilters, variables })
    const reply = await context.unblocked(() => {
      if (remove) {
        const [document] = matching(context, namespace, filter, { hint: body.hint, sort })
        if (document) context.writer.remove(namespace, document)
        return { lastErrorObject: { n: document ? 1 : 0 }, value: shown(document) }
      }
      const done = update(context, namespace, { filter, change, upsert, hint: body.hint, sort, query }, newProgress())
      return {
        lastErrorObject: {
          n: done.n,
          updatedExisting: done.n > 0 && !done.inserted,
          ...(done.inserted ? { upserted: done.upserted } : {}),
        },
        value: shown(body.new ? done.after : done.before),
      }
    })
    if (context.retryable) context.session.done.set(number, reply)
    return reply
  },
}

export const writes = {
  insert: {
    fields: ['documents', 'ordered', 'bypassDocumentValidation', 'stmtId', 'stmtIds'],
    documents: 'documents',
    writes: true,
    inTransaction: 'yes',
    async run(context, body) {
      const namespace = context.namespace(body.insert)
      checkBatch(body.documents, 'insert.documents')
      const { writer } = context
      const { results, errors } = await statements(context, body, body.documents, (document) => {
        writer.insert(namespace, storable(document))
        return {}
      })
      return { n: results.length, ...errors }
    },
  },

  update: {
    fields: ['updates', 'ordered', 'bypassDocumentValidation', 'stmtId', 'stmtIds', 'let'],
    writes: true,
    inTransaction: 'yes',
    async run(context, body) {
      const namespace = context.namespace(body.update)
      checkBatch(body.updates, 'update.updates')
      for (const statement of body.updates) {
        checkFields(statement, UPDATE_FIELDS, 'update.updates')
        for (const required of ['q', 'u'])
          if (statement[required] === undefined)
            refuse(40414, `BSON field 'update.updates.${required}' is missing but a required field`)
      }
      const variables = body.let ?? {}
      const { results, errors } = await statements(context, body, body.updates, (statement, progress) => {
        const { q, u, multi = false, upsert = false, hint, arrayFilters } = statement
        refuseCollation(statement.collation)
        const filter = parseFilter(q, variables)
        const change = parseUpdate(u, { arrayFilters, multi, variables: { ...variables, ...statement.c } })
        const sort = statement.sort === undefined ? undefined : parseSort(statement.sort)
        const {
          n,
          modified,
          upserted,
          inserted: isNew,
        } = update(context, namespace, { filter, change, multi, upsert, hint, sort, query: q }, progress)
        return { n, modified, ...(isNew ? { upserted } : {}) }
      })
      const upserted = results.filter((result) => Object.hasOwn(result, 'upserted'))
      return {
        n: results.reduce((sum, { n }) => sum + n, 0),
        nModified: results.reduce((sum, { modified }) => sum + modified, 0),
        ...(upserted.length > 0 ? { upserted: upserted.map(({ index, upserted: _id }) => ({ index, _id })) } : {}),
        ...errors,
      }
    },
  },

  delete: {
    fields: ['deletes', 'ordered', 'stmtId', 'stmtIds', 'let'],
    writes: true,
    inTransaction: 'yes',
    async run(context, body) {
      const namespace = context.namespace(body.delete)
      checkBatch(body.deletes, 'delete.deletes')
      for (const statement of body.deletes) {
        checkFields(statement, new Set(['q', 'limit', 'hint', 'collation', 'sampleId']), 'delete.deletes')
        for (const required of ['q', 'limit'])
          if (statement[required] === undefined)
            refuse(40414, `BSON field 'delete.deletes.${required}' is missing but a required field`)
        const limit = numberOf(statement.limit)
        if (limit !== 0 && limit !== 1) refuse(9, `The limit field in delete objects must be 0 or 1. Got ${limit}`)
      }
      const { results, errors } = await statements(
        context,
        body,
        body.deletes,
        ({ q, limit, hint, collation }, progress) => {
          refuseCollation(collation)
          const found = []
          for (const document of matching(context, namespace, parseFilter(q, body.let ?? {}), { hint })) {
            found.push(document)
            if (numberOf(limit) === 1) break
          }
          for (const document of found) {
            context.writer.remove(namespace, document)
            progress.n++
          }
          return { n: progress.n }
        },
      )
      return { n: results.reduce((sum, { n }) => sum + n, 0), ...errors }
    },
  },

  findAndModify,
  findandmodify: findAndModify,
}
