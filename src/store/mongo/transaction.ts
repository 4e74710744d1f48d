/**
 * A transaction that is tried again when the server says so, until it is done or its time is over.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-in-applications/
 *
 * Read and write concern are stated on each transaction: defaults of a session or a client were not enough in Jepsen's
 * tests. A commit whose reply was lost is sent again, which the server answers with what became of it; when that does
 * not help until the deadline, `committed` looks for the mark the transaction wrote.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { ClientSession, MongoClient, TransactionOptions } from 'mongodb'
import { StoreUnavailable } from '../store.js'
import { isTransient, isUnknownCommit, translated } from './failures.js'

const options: TransactionOptions = {
  readConcern: { level: 'snapshot' },
  writeConcern: { w: 'majority', journal: true },
  readPreference: 'primary',
}

const triesMax = 200
const pauseMaxMs = 200

export type Transaction<T> = {
  work: (session: ClientSession) => Promise<T>
  /** Whether what the last try wrote is there after all. */
  committed?: () => Promise<boolean>
  timeLimitMs: number
  /** One that outlives the transaction, so that others can end what it leaves behind when this process dies. */
  session?: ClientSession
  /** An error of `work` that another try may mend. */
  again?: (error: unknown) => boolean
}

/** @throws StoreUnavailable, or what `work` throws */
export async function transaction<T>(
  client: MongoClient,
  { work, committed, timeLimitMs, session: given, again }: Transaction<T>,
): Promise<T> {
  const deadline = Date.now() + timeLimitMs
  for (let tries = 1; ; tries++) {
    const session = given ?? newSession(client)
    try {
      session.startTransaction({ ...options, maxCommitTimeMS: timeLimitMs })
      const result = await work(session)
      await commit(session, deadline, committed)
      return result
    } catch (error) {
      const retriable = (isTransient(error) && !isUnknownCommit(error)) || again?.(error)
      if (!retriable || tries >= triesMax || Date.now() >= deadline) throw translated(error)
    } finally {
      // Whether the server hears of the abort does not matter: the next transaction of the session says the same.
      if (session.inTransaction()) await session.abortTransaction().catch(() => undefined)
      if (!given) await session.endSession().catch(() => undefined)
    }
    // Those that met at the same document do not meet again at the same time.
    await pause(Math.random() * Math.min(pauseMaxMs, 2 ** Math.min(tries, 8)))
  }
}

/** Commits that fail in a way nobody foresaw are sent again only so often. */
const oddTriesMax = 5

export const newSession = (client: MongoClient): ClientSession => client.startSession({ causalConsistency: false })

async function commit(session: ClientSession, deadline: number, committed?: () => Promise<boolean>): Promise<void> {
  let odd = 0
  for (let tries = 1; ; tries++) {
    try {
      return await session.commitTransaction()
    } catch (error) {
      // It was not committed, and the server has let it go.
      if (isTransient(error) && !isUnknownCommit(error)) throw error
      // Anything else leaves it open or in doubt: what it wrote would stay locked until the server loses patience.
      if (!isUnknownCommit(error)) odd++
      if (Date.now() >= deadline || tries >= triesMax || odd >= oddTriesMax) {
        if (await committed?.().catch(() => false)) return
        throw new StoreUnavailable('The store is not available: whether it kept the change is not known', {
          cause: error,
        })
      }
    }
    await pause(Math.random() * Math.min(pauseMaxMs, 2 ** Math.min(tries, 8)))
  }
}
