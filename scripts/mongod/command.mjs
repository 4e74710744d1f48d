/**
 * How a command is run: its fields checked, its session and transaction found, its errors answered as a server answers them.
 *
 * https://www.mongodb.com/docs/manual/reference/command/
 */
import { Binary, Long } from 'bson'
import { field, isPlain, numberOf } from './bson.mjs'
import { admin } from './commands/admin.mjs'
import { aggregation } from './commands/aggregate.mjs'
import { collections } from './commands/collections.mjs'
import { cursorCommands } from './commands/cursors.mjs'
import { explaining } from './commands/explain.mjs'
import { reads } from './commands/reads.mjs'
import { transactions } from './commands/transactions.mjs'
import { writes } from './commands/writes.mjs'
import { Blocked, CommandError, labelsFor, nameOf, refuse, unsupported } from './errors.mjs'
import { failureOf } from './failpoints.mjs'
import { isForbidden } from './pose.mjs'
import { numberFrom, sessionKey } from './sessions.mjs'
import { Writer } from './store.mjs'

/**
 * @typedef {object} Command
 * @property {(context: Context, body: Record<string, unknown>) => unknown} run
 * @property {string[]} fields that the command knows beside the general ones
 * @property {boolean} [writes] needs the primary, takes a write concern and may be retried
 * @property {'yes' | 'no' | 'catalog' | 'unknown'} [inTransaction]
 * @property {boolean} [snapshots] it reads at a time where the read concern asks for that
 * @property {boolean} [admin] only on the database admin
 * @property {number} [unknownField] the error for fields it does not know
 * @property {string} [documents] a field whose documents are taken as bytes
 */

/** @type {Map<string, Command>} */
export const COMMANDS = new Map(
  [admin, reads, writes, cursorCommands, aggregation, collections, transactions, explaining].flatMap((commands) =>
    Object.entries(commands),
  ),
)

const GENERAL = new Set([
  '$db',
  '$clusterTime',
  '$readPreference',
  'lsid',
  'txnNumber',
  'autocommit',
  'startTransaction',
  'readConcern',
  'writeConcern',
  'maxTimeMS',
  'comment',
  'apiVersion',
  'apiStrict',
  'apiDeprecationErrors',
])

export class Context {
  constructor(server, connection, database, body) {
    this.server = server
    this.store = server.store
    this.connection = connection
    this.database = database
    this.body = body
    this.session = undefined
    /** @type {import('./transaction.mjs').Transaction | undefined} */
    this.transaction = undefined
    this.number = undefined
    /** @type {import('./snapshots.mjs').Snapshot | undefined} of a read concern outside of transactions */
    this.snapshot = undefined
    this.retryable = false
    this.deadline = undefined
  }

  /** What the command sees. */
  get view() {
    return this.transaction?.view ?? this.snapshot?.view ?? this.store.main
  }

  get writer() {
    return new Writer(this.store, this.transaction)
  }

  get sessionKey() {
    return this.body.lsid ? sessionKey(this.body.lsid) : undefined
  }

  /** The namespace of a collection named by a command. */
  namespace(name, command) {
    if (typeof name !== 'string') {
      if (command === 'find') refuse(9, `Failed to parse: find: ${name}. 'find' field must be of BSON type string.`)
      refuse(73, `collection name has invalid type ${typeof name}`)
    }
    if (this.database === 'local' || this.database === 'config') unsupported(`the database ${this.database}`)
    if (name === '' || name.startsWith('.') || name.includes('\0'))
      refuse(73, `Invalid namespace specified '${this.database}.${name}'`)
    const namespace = `${this.database}.${name}`
    this.transaction?.touch(namespace)
    return namespace
  }

  /** Tries until no transaction is in the way; in a transaction there is no waiting. */
  async unblocked(attempt) {
    for (;;) {
      try {
        return attempt()
      } catch (error) {
        if (!(error instanceof Blocked)) throw error
      }
      await this.store.waitForRelease(this.deadline)
    }
  }

  /** A change of a collection's indexes or options waits for the transactions that use it. */
  exclusively(namespace, change) {
    return this.unblocked(() => {
      for (const transaction of this.store.transactions)
        if (transaction.touched.has(namespace) || this.store.locks.has(`create:${namespace}`)) throw new Blocked()
      return change()
    })
  }
}

/**
 * The reply to a command, or 'close' where the connection is to be cut.
 * @param {import('./server.mjs').Server} server
 * @param {object} connection
 * @param {import('./wire.mjs').Request} request
 */
export async function answer(server, connection, request) {
  const { body: document, sequences } = request
  const [name] = document.members().keys()
  const command = COMMANDS.get(name)
  const body = {}
  for (const member of document.members().keys()) if (member !== command?.documents) body[member] = document.get(member)
  if (command?.documents) body[command.documents] = document.documents(command.documents)
  for (const [member, documents] of sequences)
    body[member] = member === command?.documents ? documents : documents.map((one) => one.toObject())
  const context = new Context(server, connection, body.$db ?? request.database, body)
  server.counts.set(name, (server.counts.get(name) ?? 0) + 1)
  let reply
  try {
    if (!command) refuse(59, `no such command: '${name}'`)
    const target = typeof body[name] === 'string' ? `${context.database}.${body[name]}` : undefined
    const failure = server.failPoints.take(name, { appName: connection.appName, namespace: target })
    if (failure) {
      const { data } = failure
      if (data.blockConnection) await new Promise((resolve) => setTimeout(resolve, numberOf(data.blockTimeMS) ?? 0))
      if (data.closeConnection) return 'close'
      const error = failureOf(data)
      if (error) throw error
    }
    prepare(context, command, name)
    reply = { ...(await command.run(context, body)), ok: 1 }
    if (context.snapshot) (reply.cursor ?? reply).atClusterTime = context.snapshot.time
    if (reply.writeErrors?.length > 0 && context.transaction) context.session.abort()
    const wrong = failure?.data.writeConcernError ?? (command.writes ? wrongWriteConcern(body.writeConcern) : undefined)
    if (wrong) {
      reply.writeConcernError = wrong
      const labels = failure?.data.errorLabels ?? labelsOf(context, command, name, numberOf(wrong.code))
      if (labels.length > 0) reply.errorLabels = labels
    }
  } catch (error) {
    if (!(error instanceof CommandError)) {
      if (!server.quiet) console.error(error)
      reply = {
        ok: 0,
        errmsg: `the stand-in for MongoDB failed: ${error instanceof Error ? error.stack : error}`,
        code: 8,
        codeName: 'UnknownError',
      }
    } else reply = failed(context, command, name, error)
    if (context.transaction && name !== 'commitTransaction') context.session.abort()
  }
  return { ...reply, ...times(server, request) }
}

function times(server, request) {
  if (request.legacy) return {}
  const now = server.store.now()
  return {
    operationTime: now,
    $clusterTime: { clusterTime: now, signature: { hash: new Binary(Buffer.alloc(20)), keyId: Long.ZERO } },
  }
}

function failed(context, command, name, error) {
  const labels = error.labels ?? labelsOf(context, command, name, error.code)
  return {
    ok: 0,
    errmsg: error.message,
    code: error.code,
    codeName: nameOf(error.code),
    ...error.more,
    ...(labels.length > 0 ? { errorLabels: labels } : {}),
  }
}

function labelsOf(context, command, name, code) {
  const inTransaction = context.body.autocommit === false
  const retryable = Boolean(command?.writes) && context.body.txnNumber !== undefined && !inTransaction
  return labelsFor(code, { inTransaction, command: name, retryable })
}

/** Everything that is checked before a command runs. */
function prepare(context, command, name) {
  const { body, server } = context
  if (typeof context.database !== 'string' || context.database === '' || /[/\\. "$*<>:|?\0]/.test(context.database))
    refuse(73, `Invalid database name: '${context.database}'`)
  if (isForbidden(server.pose.user, name, context.database, body)) {
    server.forbidden.push(name)
    refuse(13, `not authorized on ${context.database} to execute command ${name}`)
  }
  if (command.admin && context.database !== 'admin') refuse(13, `${name} may only be run against the admin database.`)
  for (const member of Object.keys(body))
    if (member !== name && !GENERAL.has(member) && !command.fields.includes(member))
      refuse(
        command.unknownField ?? 40415,
        command.unknownField
          ? `Failed to parse: unrecognized field '${member}'`
          : `BSON field '${name}.${member}' is an unknown field.`,
      )
  if (body.maxTimeMS !== undefined) {
    const limit = numberOf(body.maxTimeMS)
    if (limit === undefined) refuse(2, 'maxTimeMS must be a number')
    if (limit < 0) refuse(2, `${limit} value for maxTimeMS is out of range`)
    if (limit > 0) context.deadline = Date.now() + limit
  }
  if (body.apiStrict === true) unsupported('apiStrict')
  readConcernOf(body)
  if (server.steppedDown && !command.anyState)
    refuse(command.writes ? 10107 : 13435, command.writes ? 'not primary' : 'not primary and secondaryOk=false')
  const inTransaction = body.autocommit === false
  if (body.txnNumber !== undefined && !body.lsid)
    refuse(72, 'Transaction number requires a session ID to also be specified')
  if (body.autocommit !== undefined && body.txnNumber === undefined)
    refuse(72, "'autocommit' field requires a transaction number to also be specified")
  if (body.startTransaction !== undefined && !inTransaction)
    refuse(72, "'startTransaction' field requires 'autocommit' field to also be specified")
  if (body.lsid) context.session = server.sessions.get(body.lsid)
  if (body.readConcern?.level === 'snapshot' && !inTransaction) {
    if (!command.snapshots) refuse(72, `the read concern snapshot is not supported by ${name}`)
    if (command.snapshots !== 'of the cursor') context.snapshot = server.snapshots.at(body.readConcern.atClusterTime)
  }
  if (body.txnNumber === undefined) return
  context.number = numberFrom(body.txnNumber)
  if (!inTransaction) {
    if (!command.writes) refuse(50768, `${name} is not a retryable write`)
    context.session.write(context.number)
    context.retryable = true
    return
  }
  if (command.inTransaction === 'ending') return
  context.transaction = context.session.continue(
    context.number,
    body.startTransaction === true,
    context.store,
    server.parameters.transactionLifetimeLimitSeconds,
  )
  switch (command.inTransaction) {
    case 'yes':
      break
    case 'catalog':
      refuse(
        72,
        `Command ${name} does not support this transaction's readConcern :: caused by :: read concern not supported`,
      )
      break
    default:
      refuse(263, `Cannot run '${name}' in a multi-document transaction.`)
  }
  if (body.writeConcern !== undefined) refuse(72, 'writeConcern is not allowed within a multi-statement transaction')
  if (body.readConcern !== undefined && body.startTransaction !== true)
    refuse(72, 'Only the first command in a transaction may specify a readConcern')
}

const LEVELS = new Set(['local', 'available', 'majority', 'linearizable', 'snapshot'])

function readConcernOf({ readConcern }) {
  if (readConcern === undefined) return
  if (!isPlain(readConcern)) refuse(14, "Expected field 'readConcern' to be of type object")
  for (const name of Object.keys(readConcern))
    if (
      name !== 'level' &&
      name !== 'afterClusterTime' &&
      name !== 'provenance' &&
      !(name === 'atClusterTime' && readConcern.level === 'snapshot')
    )
      refuse(72, `Unrecognized option in readConcern: ${name}`)
  if (readConcern.level !== undefined && !LEVELS.has(readConcern.level))
    refuse(9, "readConcern.level must be either 'local', 'majority', 'linearizable', 'available', or 'snapshot'")
}

const CONCERNS = new Set(['w', 'j', 'wtimeout', 'fsync', 'provenance'])

/** One member can hold a write: more than that never comes true. */
function wrongWriteConcern(writeConcern) {
  const w = field(writeConcern ?? {}, 'w')
  for (const name of Object.keys(writeConcern ?? {}))
    if (!CONCERNS.has(name)) refuse(40415, `BSON field 'writeConcern.${name}' is an unknown field.`)
  if (w === undefined || w === 'majority') return undefined
  if (typeof w === 'string')
    return {
      code: 79,
      codeName: 'UnknownReplWriteConcern',
      errmsg: `No write concern mode named '${w}' found in replica set configuration`,
    }
  return numberOf(w) > 1
    ? { code: 100, codeName: 'UnsatisfiableWriteConcern', errmsg: 'Not enough data-bearing nodes' }
    : undefined
}
