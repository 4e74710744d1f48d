/**
 * Cursors: what is left of an answer that did not fit one batch.
 *
 * https://www.mongodb.com/docs/manual/reference/command/getMore/
 */
import { randomBytes } from 'node:crypto'
import { Long } from 'bson'
import { encode } from './bson.mjs'
import { refuse } from './errors.mjs'

const FIRST_BATCH = 101
/** A batch ends before it would exceed the size of the largest document. */
const BATCH_BYTES_MAX = 16 * 1024 * 1024
/** Nobody has asked for more for this long: the cursor is forgotten. */
const IDLE_MS = 10 * 60 * 1000

/**
 * @typedef {object} Cursor
 * @property {Long} id
 * @property {string} namespace
 * @property {Iterator<object>} documents
 * @property {string | undefined} session that made it
 * @property {bigint | undefined} transaction number it belongs to
 * @property {number} left how many more the limit allows
 * @property {object | undefined} waiting document that did not fit the last batch
 * @property {object} [stream] of a change stream
 */

export class Cursors {
  /** @type {Map<string, Cursor>} */
  #open = new Map()

  /**
   * The first batch of an answer, and a cursor where more is to come.
   * @returns {{ cursor: object }}
   */
  first(
    documents,
    { namespace, batchSize = FIRST_BATCH, single = false, limit = Number.POSITIVE_INFINITY, session, transaction },
  ) {
    const cursor = { namespace, documents, session, transaction, left: limit, waiting: undefined, used: Date.now() }
    const firstBatch = batchOf(cursor, batchSize)
    // A cursor stays open when the batch is full: whether anything follows is known with the next one.
    const more = !single && !cursor.ended
    return { cursor: { firstBatch, id: more ? this.keep(cursor) : Long.ZERO, ns: namespace } }
  }

  keep(cursor) {
    this.#forgetIdle()
    cursor.id = Long.fromBytesLE([...randomBytes(7), 1 + (randomBytes(1)[0] & 0x3f)])
    this.#open.set(cursor.id.toString(), cursor)
    return cursor.id
  }

  find(id, namespace, session, transaction) {
    const cursor = this.#open.get(String(id))
    if (!cursor) refuse(43, `cursor id ${id} not found`)
    if (cursor.namespace !== namespace)
      refuse(
        13,
        `Requested getMore on namespace '${namespace}', but cursor belongs to a different namespace ${cursor.namespace}`,
      )
    if (cursor.session !== session)
      refuse(
        50738,
        `Cannot run getMore on cursor ${id}, which was created in session ${cursor.session}, in session ${session}`,
      )
    if (cursor.transaction !== transaction)
      refuse(50740, `Cannot run getMore on cursor ${id}, which was created in another transaction`)
    cursor.used = Date.now()
    return cursor
  }

  next(cursor, batchSize) {
    const nextBatch = batchOf(cursor, batchSize)
    if (cursor.ended) this.#open.delete(String(cursor.id))
    return { cursor: { nextBatch, id: cursor.ended ? Long.ZERO : cursor.id, ns: cursor.namespace } }
  }

  kill(id, namespace) {
    const cursor = this.#open.get(String(id))
    if (cursor?.namespace !== namespace) return false
    cursor.stream?.close()
    return this.#open.delete(String(id))
  }

  /** The cursors of a transaction end with it, those of a session likewise. */
  end(session, transaction) {
    for (const [id, cursor] of this.#open)
      if (cursor.session === session && (transaction === undefined || cursor.transaction === transaction)) {
        cursor.stream?.close()
        this.#open.delete(id)
      }
  }

  drop(namespace) {
    for (const [id, cursor] of this.#open) if (!cursor.stream && cursor.namespace === namespace) this.#open.delete(id)
  }

  get size() {
    return this.#open.size
  }

  #forgetIdle() {
    const limit = Date.now() - IDLE_MS
    for (const [id, cursor] of this.#open) if (!cursor.stream && cursor.used < limit) this.#open.delete(id)
  }
}

function batchOf(cursor, batchSize) {
  const batch = []
  let bytes = 0
  while (batchSize === undefined || batch.length < batchSize) {
    if (cursor.left === 0) break
    const { done, value } = cursor.waiting ? { done: false, value: cursor.waiting } : cursor.documents.next()
    if (done) {
      cursor.ended = true
      return batch
    }
    cursor.waiting = undefined
    bytes += encode(value).length
    if (bytes > BATCH_BYTES_MAX && batch.length > 0) {
      cursor.waiting = value
      return batch
    }
    batch.push(value)
    cursor.left--
  }
  cursor.ended = cursor.left === 0
  return batch
}
