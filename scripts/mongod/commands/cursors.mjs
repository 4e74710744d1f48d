/**
 * getMore and killCursors.
 *
 * https://www.mongodb.com/docs/manual/reference/command/getMore/
 */
import { Long } from 'bson'
import { refuse } from '../errors.mjs'
import { nonNegative } from './reads.mjs'

/** A change stream is waited for as long as a server does where no time is given. */
const AWAIT_MS = 1000

/** The next events of a change stream; waits for the first one. */
export async function nextEvents(cursors, cursor, batchSize, waitMs) {
  const { stream } = cursor
  const until = Date.now() + waitMs
  const most = batchSize || Number.POSITIVE_INFINITY
  let nextBatch = stream.take(most)
  while (nextBatch.length === 0 && !stream.ended && Date.now() < until) {
    await stream.wait(until - Date.now())
    nextBatch = stream.take(most)
  }
  if (stream.ended) cursors.kill(cursor.id, cursor.namespace)
  return {
    cursor: {
      nextBatch,
      postBatchResumeToken: stream.token,
      id: stream.ended ? Long.ZERO : cursor.id,
      ns: cursor.namespace,
    },
  }
}

export const cursorCommands = {
  getMore: {
    fields: ['collection', 'batchSize', 'term', 'lastKnownCommittedOpTime'],
    inTransaction: 'yes',
    // Drivers send the read concern of a snapshot session with it, which the server takes and does not look at.
    snapshots: 'of the cursor',
    run(context, body) {
      const { cursors } = context.server
      const namespace = context.namespace(body.collection)
      const transaction = context.transaction ? context.number : undefined
      const cursor = cursors.find(body.getMore, namespace, context.sessionKey, transaction)
      const batchSize = nonNegative(body.batchSize, 'batchSize') || undefined
      if (cursor.stream)
        return nextEvents(
          cursors,
          cursor,
          batchSize,
          context.deadline === undefined ? AWAIT_MS : context.deadline - Date.now(),
        )
      return cursors.next(cursor, batchSize)
    },
  },

  killCursors: {
    fields: ['cursors'],
    inTransaction: 'yes',
    run(context, body) {
      const namespace = context.namespace(body.killCursors)
      if (!Array.isArray(body.cursors)) refuse(14, "Expected field 'cursors' to be of type array")
      const cursorsKilled = []
      const cursorsNotFound = []
      for (const id of body.cursors)
        (context.server.cursors.kill(id, namespace) ? cursorsKilled : cursorsNotFound).push(id)
      return { cursorsKilled, cursorsNotFound, cursorsAlive: [], cursorsUnknown: [] }
    },
  },
}
