/**
 * Change streams: committed changes as events, from where a token says.
 *
 * https://www.mongodb.com/docs/manual/reference/change-events/
 */
import { isPlain, typeName } from './bson.mjs'
import { CommandError, refuse, unsupported } from './errors.mjs'
import { equal, keyOf } from './keys.mjs'
import { checkStages, runStages } from './pipeline.mjs'

const OPTIONS = new Set([
  'fullDocument',
  'fullDocumentBeforeChange',
  'resumeAfter',
  'startAfter',
  'startAtOperationTime',
  'allChangesForCluster',
  'showExpandedEvents',
])

/** Stages that may follow. */
const FOLLOWING = new Set(['$addFields', '$match', '$project', '$replaceRoot', '$replaceWith', '$set', '$unset'])

const EVENTS = new Set(['insert', 'update', 'replace', 'delete', 'drop', 'dropDatabase', 'rename'])

const hex = (value) => (value >>> 0).toString(16).padStart(8, '0')

/** A token is a time, a place within one commit, and whether it is that of an invalidation. */
const tokenOf = ({ t, i }, at, invalid = false) => ({ _data: `82${hex(t)}${hex(i)}${hex(at)}${invalid ? '01' : '00'}` })
const LAST = 0xffffffff

function parseToken(token) {
  if (!isPlain(token) || typeof token._data !== 'string')
    refuse(40647, `Bad resume token: _data of missing or of wrong type. Expected string, got ${JSON.stringify(token)}`)
  const parts = /^82([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{8})(0[01])$/i.exec(token._data)
  if (!parts) refuse(260, 'the resume token was not made by this server')
  const [t, i, at] = parts.slice(1, 4).map((text) => Number.parseInt(text, 16))
  return { t, i, at, invalid: parts[4] === '01' }
}

const before = (a, b) => a.t - b.t || a.i - b.i || a.at - b.at
const placeOf = (change) => ({ t: change.time.high >>> 0, i: change.time.low >>> 0, at: change.at })

export class ChangeStream {
  /**
   * @param {import('./store.mjs').Store} store
   * @param {{ namespace?: string, database?: string }} scope one collection, one database, or everything
   * @param {Record<string, unknown>} options
   * @param {object[]} stages
   */
  constructor(store, scope, options, stages) {
    for (const name of Object.keys(options))
      if (!OPTIONS.has(name)) refuse(40415, `BSON field '$changeStream.${name}' is an unknown field.`)
    const { fullDocument = 'default', fullDocumentBeforeChange = 'off', showExpandedEvents } = options
    if (fullDocument !== 'default' && fullDocument !== 'updateLookup') unsupported(`fullDocument: ${fullDocument}`)
    if (fullDocumentBeforeChange !== 'off') unsupported('images of documents before a change')
    if (showExpandedEvents) unsupported('showExpandedEvents')
    checkStages(stages)
    for (const stage of stages)
      if (!FOLLOWING.has(Object.keys(stage)[0]))
        refuse(20, `${Object.keys(stage)[0]} is not permitted in a $changeStream pipeline`)
    this.store = store
    this.scope = scope
    this.stages = stages
    this.lookup = fullDocument === 'updateLookup'
    this.ended = false
    this.at = this.#start(options)
    this.token = tokenOf(placeOf({ time: store.now(), at: 0 }), LAST)
    /** @type {(() => void) | undefined} */
    this.wake = undefined
  }

  #start({ resumeAfter, startAfter, startAtOperationTime }) {
    const { store } = this
    const token = resumeAfter ?? startAfter
    if (token === undefined && startAtOperationTime === undefined) return store.forgotten + store.changes.length
    let from
    if (token !== undefined) {
      from = parseToken(token)
      if (from.invalid && resumeAfter !== undefined)
        refuse(
          260,
          'Attempting to resume a change stream using resumeAfter is not allowed from an invalidate notification.',
        )
    } else from = { t: startAtOperationTime.high >>> 0, i: startAtOperationTime.low >>> 0, at: -1 }
    const [first] = store.changes
    if (store.forgotten > 0 && first && before(from, placeOf(first)) < 0) {
      throw historyLost()
    }
    const found = store.changes.findIndex((change) => before(placeOf(change), from) > 0)
    return store.forgotten + (found < 0 ? store.changes.length : found)
  }

  /** The events since the last time, at most so many. */
  take(most) {
    const { store } = this
    const events = []
    if (this.at < store.forgotten) throw historyLost()
    while (events.length < most && !this.ended && this.at < store.forgotten + store.changes.length) {
      const change = store.changes[this.at++ - store.forgotten]
      this.token = tokenOf(placeOf(change), change.at)
      if (!this.#concerns(change)) continue
      events.push(...runStages(this.stages, [this.#event(change)]))
      if (
        this.scope.namespace !== undefined &&
        change.kind !== 'dropDatabase' &&
        (change.kind === 'drop' || change.kind === 'rename')
      )
        events.push(this.#invalidate(change))
      if (this.scope.database !== undefined && change.kind === 'dropDatabase') events.push(this.#invalidate(change))
    }
    if (!this.ended && this.at >= store.forgotten + store.changes.length)
      this.token = tokenOf(placeOf({ time: store.now(), at: 0 }), LAST)
    return events
  }

  #invalidate(change) {
    this.ended = true
    this.token = tokenOf(placeOf(change), change.at, true)
    return { _id: this.token, operationType: 'invalidate', clusterTime: change.time, wallTime: change.wallTime }
  }

  #concerns({ kind, namespace }) {
    if (!EVENTS.has(kind)) return false
    if (this.scope.namespace !== undefined) return namespace === this.scope.namespace
    if (kind === 'dropDatabase') return this.scope.database === undefined || namespace === `${this.scope.database}.`
    return this.scope.database === undefined || namespace.startsWith(`${this.scope.database}.`)
  }

  #event(change) {
    const { kind, namespace, time, wallTime, origin } = change
    const dot = namespace.indexOf('.')
    const ns = { db: namespace.slice(0, dot), coll: namespace.slice(dot + 1) }
    const event = {
      _id: tokenOf(placeOf(change), change.at),
      operationType: kind,
      clusterTime: time,
      wallTime,
      ...(origin ? { txnNumber: origin.txnNumber, lsid: origin.lsid } : {}),
    }
    if (kind === 'dropDatabase') return { ...event, ns: { db: ns.db } }
    if (kind === 'rename') {
      const to = change.to.indexOf('.')
      return { ...event, ns, to: { db: change.to.slice(0, to), coll: change.to.slice(to + 1) } }
    }
    if (kind === 'drop') return { ...event, ns }
    const documentKey = { _id: (change.after ?? change.before).get('_id') }
    if (kind === 'delete') return { ...event, ns, documentKey }
    if (kind !== 'update') return { ...event, fullDocument: change.after.toObject(), ns, documentKey }
    const current = this.lookup ? { fullDocument: this.#current(namespace, documentKey._id) } : {}
    return {
      ...event,
      ...current,
      ns,
      documentKey,
      updateDescription: described(change.before.toObject(), change.after.toObject()),
    }
  }

  #current(namespace, id) {
    return this.store.main.get(namespace)?.byId(keyOf(id))?.toObject() ?? null
  }

  /** Until something was committed, or the time is over. */
  wait(milliseconds) {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        this.store.listeners.delete(finish)
        this.wake = undefined
        resolve(undefined)
      }
      const timer = setTimeout(finish, milliseconds)
      this.store.listeners.add(finish)
      this.wake = finish
    })
  }

  close() {
    this.ended = true
    this.wake?.()
  }
}

function historyLost() {
  const error = new CommandError(
    286,
    'Resume of change stream was not possible, as the resume point may no longer be in the oplog.',
  )
  error.labels = ['NonResumableChangeStreamError']
  return error
}

/** What an update changed, sub-documents and arrays member by member. */
function described(was, is) {
  const out = { updatedFields: {}, removedFields: [], truncatedArrays: [] }
  const visit = (old, now, prefix) => {
    for (const name of Object.keys(old)) if (!Object.hasOwn(now, name)) out.removedFields.push(prefix + name)
    for (const [name, value] of Object.entries(now)) {
      const path = prefix + name
      const before = Object.hasOwn(old, name) ? old[name] : undefined
      if (isPlain(before) && isPlain(value)) visit(before, value, `${path}.`)
      else if (Array.isArray(before) && Array.isArray(value)) visitArray(before, value, path)
      else if (typeName(before) !== typeName(value) || !equal(before, value)) out.updatedFields[path] = value
    }
  }
  const visitArray = (old, now, path) => {
    if (now.length < old.length) out.truncatedArrays.push({ field: path, newSize: now.length })
    for (const [i, value] of now.entries()) {
      if (i < old.length && isPlain(old[i]) && isPlain(value)) visit(old[i], value, `${path}.${i}.`)
      else if (i >= old.length || !equal(old[i], value)) out.updatedFields[`${path}.${i}`] = value
    }
  }
  visit(was, is, '')
  return out
}
