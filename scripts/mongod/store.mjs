/**
 * Everything that is stored, in memory: collections of records with their indexes, seen through views.
 *
 * A view is one consistent state. The main view is what is committed; a transaction works on a fork of it, which shares
 * all nodes of the trees until one side changes them.
 *
 * https://www.mongodb.com/docs/manual/core/read-isolation-consistency-recency/
 */
import { Long, ObjectId, Timestamp, UUID } from 'bson'
import { Document, encode } from './bson.mjs'
import { Blocked, CommandError, refuse, unsupported } from './errors.mjs'
import { parseFilter } from './filter.mjs'
import { checkedSpecification, Index } from './index.mjs'
import { AFTER } from './keys.mjs'
import { matcher } from './match.mjs'
import { Tree } from './tree.mjs'

export const DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
/** How many changes are kept for change streams that resume. */
const CHANGES_MAX = 50_000
const CHANGED_BYTES_MAX = 256 * 1024 * 1024

/** A record's number as five characters that sort like numbers and stay below every end of range. */
export function recordKey(rid) {
  return String.fromCharCode(
    Math.floor(rid / 2 ** 28) & 127,
    (rid >>> 21) & 127,
    (rid >>> 14) & 127,
    (rid >>> 7) & 127,
    rid & 127,
  )
}

export class Collection {
  constructor(namespace, options = {}) {
    this.namespace = namespace
    this.options = options
    /** one for all snapshots of this collection */
    this.shared = { uuid: new UUID(), nextRid: 1 }
    /** grows with every change of the collection's indexes or options */
    this.catalog = 1
    this.owner = undefined
    this.records = new Tree()
    this.bytes = 0
    this.indexes = [new Index({ v: 2, key: { _id: 1 }, name: '_id_' })]
    this.validator = options.validator ? matcher(parseFilter(options.validator)) : undefined
  }

  clone(owner) {
    const copy = Object.create(Collection.prototype)
    return Object.assign(copy, this, {
      owner,
      records: this.records.clone(),
      indexes: this.indexes.map((index) => index.clone()),
    })
  }

  /** The same collection before anything was written to it. */
  emptied() {
    const copy = new Collection(this.namespace, this.options)
    copy.shared = this.shared
    return copy
  }

  /** The record with an `_id`. */
  byId(idKey) {
    const walk = this.indexes[0].tree.range(idKey, idKey + AFTER)
    return walk.next() ? this.records.get(walk.value) : undefined
  }

  index(name) {
    return this.indexes.find((index) => index.name === name)
  }
}

export class View {
  constructor(collections = new Map()) {
    this.collections = collections
    this.owner = {}
  }

  /** A copy that neither sees nor is touched by what happens to this one later. */
  fork() {
    this.owner = {}
    return new View(new Map(this.collections))
  }

  /** Whoever holds a collection or a walk goes on seeing it as it is now. */
  freeze() {
    this.owner = {}
  }

  get(namespace) {
    return this.collections.get(namespace)
  }

  /** The collection, ready to be changed in this view. */
  writable(namespace) {
    const collection = this.collections.get(namespace)
    if (collection === undefined || collection.owner === this.owner) return collection
    const own = collection.clone(this.owner)
    this.collections.set(namespace, own)
    return own
  }

  /**
   * Puts `after` in the place of `before`; either may be missing. Nothing is checked here.
   * @param {string[][]} [keys] of `after` in each index, where they are known
   */
  put(namespace, rid, before, after, keys) {
    const collection = this.writable(namespace)
    const { owner } = this
    const suffix = recordKey(rid)
    for (const [i, index] of collection.indexes.entries()) {
      const newKeys = after ? (keys?.[i] ?? index.keys(after)) : []
      if (before) {
        const oldKeys = index.keys(before)
        const stays = new Set(newKeys)
        const was = new Set(oldKeys)
        for (const key of oldKeys) if (!stays.has(key)) index.tree.delete(key + suffix, owner)
        for (const key of newKeys) if (!was.has(key)) index.tree.set(key + suffix, rid, owner)
      } else for (const key of newKeys) index.tree.set(key + suffix, rid, owner)
    }
    if (after) {
      after.rid = rid
      collection.records.set(rid, after, owner)
    } else collection.records.delete(rid, owner)
    collection.bytes += (after?.raw.length ?? 0) - (before?.raw.length ?? 0)
  }
}

export class Store {
  constructor() {
    this.main = new View()
    /** grows with every committed change */
    this.version = 0
    /** names of documents and unique keys that open transactions hold */
    this.locks = new Map()
    this.transactions = new Set()
    this.changes = []
    this.changedBytes = 0
    /** how many changes were forgotten */
    this.forgotten = 0
    this.clock = { t: 0, i: 0 }
    this.tick()
    this.listeners = new Set()
    this.releases = new Set()
  }

  /** The next cluster time. */
  tick() {
    const seconds = Math.floor(Date.now() / 1000)
    this.clock = seconds > this.clock.t ? { t: seconds, i: 1 } : { t: this.clock.t, i: this.clock.i + 1 }
    return this.now()
  }

  now() {
    return new Timestamp(this.clock)
  }

  /** Records committed changes for change streams, and wakes whoever waits for one. */
  committed(changes, origin) {
    this.version++
    const time = this.tick()
    const wallTime = new Date()
    for (const [at, change] of changes.entries()) {
      this.changes.push({ ...change, time, wallTime, at, origin })
      this.changedBytes += bytesOf(change)
    }
    if (this.changes.length > CHANGES_MAX || this.changedBytes > CHANGED_BYTES_MAX) this.#forget()
    for (const listener of this.listeners) listener()
  }

  /** The older half goes, at once, so that it is seldom done. */
  #forget() {
    const old = this.changes.splice(0, this.changes.length >> 1)
    this.forgotten += old.length
    for (const change of old) this.changedBytes -= bytesOf(change)
  }

  /** Lets those go on who were blocked by a transaction that has ended. */
  released() {
    const waiting = [...this.releases]
    this.releases.clear()
    for (const wake of waiting) wake()
  }

  /** Until some transaction ends, or the deadline passes. */
  waitForRelease(deadline) {
    return new Promise((resolve, reject) => {
      const left = deadline === undefined ? undefined : Math.max(0, deadline - Date.now())
      let timer
      const wake = () => {
        clearTimeout(timer)
        resolve(undefined)
      }
      if (left !== undefined)
        timer = setTimeout(() => {
          this.releases.delete(wake)
          reject(new CommandError(50, 'operation exceeded time limit'))
        }, left)
      this.releases.add(wake)
    })
  }
}

const bytesOf = ({ before, after }) => (before?.raw.length ?? 0) + (after?.raw.length ?? 0)

/** How writes reach the store: plainly into the main view, or into a transaction's own. */
export class Writer {
  /**
   * @param {Store} store
   * @param {import('./transaction.mjs').Transaction} [transaction]
   */
  constructor(store, transaction) {
    this.store = store
    this.transaction = transaction
  }

  get view() {
    return this.transaction ? this.transaction.view : this.store.main
  }

  /** The collection to write to, made where it does not exist. */
  collection(namespace) {
    const found = this.view.get(namespace)
    if (found) {
      if (found.options.capped) unsupported('writing to capped collections')
      return found
    }
    checkNamespace(namespace)
    this.hold(`create:${namespace}`)
    if (this.transaction && this.store.main.get(namespace)) this.conflict()
    const collection = new Collection(namespace)
    this.view.collections.set(namespace, collection)
    this.log({ kind: 'create', namespace, collection })
    return collection
  }

  /** @param {Document} document with an `_id` first */
  insert(namespace, document) {
    const collection = this.collection(namespace)
    checkDocument(collection, document)
    const keys = this.checkedKeys(collection, document, undefined)
    const rid = collection.shared.nextRid++
    if (this.transaction) this.transaction.own.add(lockOf(collection, rid))
    this.view.put(namespace, rid, undefined, document, keys)
    this.log({ kind: 'insert', namespace, rid, after: document })
    return document
  }

  /** @param {boolean} whole whether the document was replaced rather than modified */
  replace(namespace, before, after, whole) {
    const collection = this.view.get(namespace)
    this.holdRecord(collection, before)
    if (after.raw.length > DOCUMENT_BYTES_MAX)
      refuse(10334, `Resulting document after update is larger than ${DOCUMENT_BYTES_MAX}`)
    checkDocument(collection, after)
    const keys = this.checkedKeys(collection, after, before)
    this.view.put(namespace, before.rid, before, after, keys)
    this.log({ kind: whole ? 'replace' : 'update', namespace, rid: before.rid, before, after })
  }

  remove(namespace, before) {
    const collection = this.view.get(namespace)
    this.holdRecord(collection, before)
    this.view.put(namespace, before.rid, before, undefined)
    this.log({ kind: 'delete', namespace, rid: before.rid, before })
  }

  log(change) {
    if (this.transaction) this.transaction.changes.push(change)
    else this.store.committed([change])
  }

  conflict() {
    refuse(
      112,
      'WriteConflict error: this operation conflicted with another operation. Please retry your operation or multi-document transaction.',
    )
  }

  /** Takes a name for the transaction; whoever else wants it conflicts, or waits when it is in no transaction. */
  hold(name) {
    const holder = this.store.locks.get(name)
    if (holder === undefined) {
      if (this.transaction) this.transaction.hold(name)
      return
    }
    if (holder === this.transaction) return
    if (this.transaction) this.conflict()
    throw new Blocked()
  }

  holdRecord(collection, document) {
    if (!this.transaction && this.store.locks.size === 0) return
    const name = lockOf(collection, document.rid)
    this.hold(name)
    if (!this.transaction || this.transaction.own.has(name)) return
    // Somebody committed a newer version after this transaction's snapshot.
    const committed = this.store.main.get(collection.namespace)?.records.get(document.rid)
    if (committed !== document) this.conflict()
    this.transaction.own.add(name)
  }

  /** The document's keys in each index; the unique ones are free, and held by the transaction. */
  checkedKeys(collection, document, before) {
    const keys = collection.indexes.map((index) => index.keys(document))
    for (const [i, index] of collection.indexes.entries())
      if (index.unique) for (const key of keys[i]) this.claim(collection, index, key, document, before)
    return keys
  }

  claim(collection, index, key, document, before) {
    const walk = index.tree.range(key, key + AFTER)
    if (walk.next()) {
      if (walk.value === before?.rid) return
      duplicate(collection.namespace, index, document, key)
    }
    if (!this.transaction && this.store.locks.size === 0) return
    this.hold(`${collection.shared.uuid}:${index.name}:${key}`)
    if (!this.transaction) return
    const committed = this.store.main
      .get(collection.namespace)
      ?.index(index.name)
      ?.tree.range(key, key + AFTER)
    if (committed?.next() && !this.transaction.own.has(lockOf(collection, committed.value))) this.conflict()
  }
}

const lockOf = (collection, rid) => `${collection.shared.uuid}:${rid}`

export function duplicate(namespace, index, document, key) {
  const keyValue = index.valuesOf(document, key)
  const shown = Object.entries(keyValue).map(([path, value]) => `${path}: ${shownValue(value)}`)
  refuse(
    11000,
    `E11000 duplicate key error collection: ${namespace} index: ${index.name} dup key: { ${shown.join(', ')} }`,
    { keyPattern: index.specification.key, keyValue },
  )
}

function shownValue(value) {
  if (value instanceof ObjectId) return `ObjectId('${value.toHexString()}')`
  if (value instanceof Long) return value.toString()
  return typeof value === 'object' && value?._bsontype ? value.toString() : JSON.stringify(value)
}

/** @param {string} namespace */
export function checkNamespace(namespace) {
  const name = namespace.slice(namespace.indexOf('.') + 1)
  if (name.includes('$')) refuse(73, `Invalid collection name: ${name}`)
  if (name.startsWith('system.')) refuse(73, `Invalid system namespace: ${namespace}`)
  if (Buffer.byteLength(namespace) > 255) refuse(73, `Fully qualified namespace is too long: ${namespace}`)
}

function checkDocument(collection, document) {
  if (document.raw.length > DOCUMENT_BYTES_MAX)
    refuse(2, `object to insert too large. size in bytes: ${document.raw.length}, max size: ${DOCUMENT_BYTES_MAX}`)
  if (
    !collection.validator ||
    collection.options.validationLevel === 'off' ||
    collection.options.validationAction === 'warn'
  )
    return
  if (!collection.validator(document))
    refuse(121, 'Document failed validation', { errInfo: { failingDocumentId: document.get('_id') ?? null } })
}

/** A document as it is stored: with an `_id`, and that first. */
export function storable(document) {
  const members = document.members()
  const [first] = members.keys()
  const id = document.get('_id')
  if (Array.isArray(id)) refuse(2, "can't use an array for _id")
  if (id?._bsontype === 'BSONRegExp') refuse(2, "can't use a regex for _id")
  for (const name of members.keys())
    if (name.startsWith('$')) refuse(2, `Document can't have $ prefixed field names: ${name}`)
  if (first === '_id') return document
  const { raw } = document
  const own = members.get('_id')
  if (own === undefined) {
    const id = encode({ _id: new ObjectId() })
    return new Document(joined([id.subarray(4, -1), raw.subarray(4)]))
  }
  return new Document(joined([raw.subarray(own.start, own.end), raw.subarray(4, own.start), raw.subarray(own.end)]))
}

/** A document out of its members' bytes and the ending null. */
function joined(pieces) {
  const raw = Buffer.concat([Buffer.alloc(4), ...pieces])
  raw.writeInt32LE(raw.length, 0)
  return raw
}

/**
 * Builds an index over what is there.
 * @param {View} view
 */
export function addIndex(view, namespace, given) {
  const specification = checkedSpecification(given)
  const collection = view.writable(namespace)
  const index = new Index(specification)
  for (const [rid, document] of collection.records.entries()) {
    for (const key of index.keys(document)) {
      if (index.unique) {
        const walk = index.tree.range(key, key + AFTER)
        if (walk.next() && walk.value !== rid) duplicate(namespace, index, document, key)
      }
      index.tree.set(key + recordKey(rid), rid, view.owner)
    }
  }
  collection.indexes = [...collection.indexes, index]
  collection.catalog++
}
