/**
 * What goes wrong between us and the database, told apart: what may be tried again, and what a person must mend.
 *
 * https://www.mongodb.com/docs/manual/reference/error-codes/
 */
import { MongoError, MongoServerError } from 'mongodb'
import { StoreUnavailable } from '../store.js'

export const isTransient = (error: unknown): boolean =>
  error instanceof MongoError && error.hasErrorLabel('TransientTransactionError')

export const isUnknownCommit = (error: unknown): boolean =>
  error instanceof MongoError && error.hasErrorLabel('UnknownTransactionCommitResult')

export const isDuplicate = (error: unknown): boolean => codeOf(error) === 11000

export function codeOf(error: unknown): number | undefined {
  return error instanceof MongoServerError && typeof error.code === 'number' ? error.code : undefined
}

/** What the server says when a command of ours is wrong: our bug, which waiting does not mend. */
const ours = new Set([2, 9, 14, 15, 28, 40, 52, 53, 54, 56, 57, 59, 66, 67, 72, 73, 168, 197, 10334, 17280, 17419])

const sentences: Record<number, string> = {
  13: 'the user of STORE may not do this; give it the role readWrite on the database',
  18: 'the user or the password in STORE is wrong',
  8000: 'the user or the password in STORE is wrong',
  14031: 'the disk of the database is full',
  10107: 'the database has no primary at the moment',
  13435: 'the database has no primary at the moment',
  189: 'the database has no primary at the moment',
  50: 'the database did not answer in time',
  112: 'too many write the same at once',
}

/** No address, no user and no value of a request: what is said here may reach a client. */
export function sentenceOf(error: unknown): string {
  const code = codeOf(error)
  if (code !== undefined) return sentences[code] ?? `the database refused with error ${code}`
  return 'the database cannot be reached'
}

/** Everything the database or the way to it does to us is `StoreUnavailable`; a bug of ours stays what it is. */
export function translated(error: unknown): unknown {
  if (!(error instanceof MongoError)) return error
  const code = codeOf(error)
  if (code !== undefined && ours.has(code)) return error
  return new StoreUnavailable(`The store is not available: ${sentenceOf(error)}`, { cause: error })
}

export async function translating<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw translated(error)
  }
}
