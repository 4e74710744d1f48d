/**
 * Logical sessions: the transaction a session is in, and the retryable writes it has done.
 *
 * https://github.com/mongodb/specifications/blob/master/source/transactions/transactions.md
 */
import { numberOf } from './bson.mjs'
import { refuse } from './errors.mjs'
import { Transaction } from './transaction.mjs'

/** Transactions that live longer are aborted, as on a server. */
const LIFETIME_SECONDS = 60

export class Session {
  constructor(id) {
    this.id = id
    this.number = -1n
    /** @type {'none' | 'writes' | 'open' | 'committed' | 'aborted'} */
    this.state = 'none'
    /** @type {Transaction | undefined} */
    this.transaction = undefined
    /** what the statements of the present retryable write have answered, by statement */
    this.done = new Map()
  }

  #drop() {
    this.transaction?.abort()
    this.transaction = undefined
    clearTimeout(this.timer)
  }

  #advance(number, state) {
    if (number < this.number)
      refuse(
        225,
        `Retryable write with txnNumber ${number} is prohibited on session because a newer retryable write with txnNumber ${this.number} has already started on this session.`,
      )
    if (number === this.number) return false
    this.#drop()
    this.number = number
    this.state = state
    this.done = new Map()
    return true
  }

  /** A retryable write with this number; its statements may have been done before. */
  write(number) {
    if (this.#advance(number, 'writes')) return
    if (this.state !== 'writes')
      refuse(
        50911,
        `Cannot start a transaction at given transaction number ${number} a transaction with the same number is in state ${this.state}`,
      )
  }

  /** The transaction a command runs in. */
  continue(number, starting, store, lifetimeSeconds = LIFETIME_SECONDS) {
    if (starting) {
      if (!this.#advance(number, 'open'))
        refuse(
          117,
          `Cannot start a transaction at given transaction number ${number} a transaction with the same number is in state ${this.state}`,
        )
      this.transaction = new Transaction(store)
      this.timer = setTimeout(() => this.abort(), lifetimeSeconds * 1000)
      this.timer.unref()
      return this.transaction
    }
    this.check(number)
    if (this.state === 'committed') refuse(256, `Transaction with { txnNumber: ${number} } has been committed.`)
    return this.transaction
  }

  /** Refuses where there is no such transaction, or no longer. */
  check(number) {
    if (number < this.number) refuse(225, `Cannot continue transaction ${number}: a newer one has started.`)
    if (number > this.number || this.state === 'none' || this.state === 'writes')
      refuse(
        251,
        `Given transaction number ${number} does not match any in-progress transactions. The active transaction number is ${this.number}`,
      )
    if (this.state === 'aborted') refuse(251, `Transaction ${number} has been aborted.`)
  }

  commit(number, origin) {
    this.check(number)
    // A commit whose answer was lost is sent again and must succeed again.
    if (this.state === 'committed') return
    const { transaction } = this
    this.transaction = undefined
    clearTimeout(this.timer)
    this.state = 'committed'
    transaction.commit(origin)
  }

  abort() {
    if (this.state !== 'open') return
    this.#drop()
    this.state = 'aborted'
  }

  end() {
    this.abort()
    this.done = new Map()
  }
}

export class Sessions {
  #byId = new Map()

  /** @param {{ id: import('bson').Binary }} lsid */
  get(lsid) {
    const key = sessionKey(lsid)
    let session = this.#byId.get(key)
    if (!session) {
      session = new Session(key)
      this.#byId.set(key, session)
    }
    return session
  }

  end(lsid) {
    const key = sessionKey(lsid)
    this.#byId.get(key)?.end()
    this.#byId.delete(key)
  }

  abortAll() {
    for (const session of this.#byId.values()) session.abort()
  }
}

export function sessionKey(lsid) {
  if (lsid?.id?._bsontype !== 'Binary')
    refuse(40414, "BSON field 'OperationSessionInfo.lsid.id' is missing but a required field")
  return lsid.id.toString('hex')
}

/** A transaction number as sent: 64 bits. */
export const numberFrom = (value) => (value?._bsontype === 'Long' ? value.toBigInt() : BigInt(numberOf(value)))
