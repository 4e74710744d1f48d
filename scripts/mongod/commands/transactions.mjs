/**
 * The ends of transactions and of sessions.
 *
 * https://www.mongodb.com/docs/manual/reference/command/commitTransaction/
 */
import { refuse } from '../errors.mjs'
import { sessionKey } from '../sessions.mjs'

function inTransaction({ body, session, number }, name) {
  if (body.autocommit !== false || session === undefined) refuse(125, `${name} must be run within a transaction`)
  return { session, number }
}

const each = (list, run) => {
  if (!Array.isArray(list)) refuse(14, 'a list of sessions is expected')
  for (const lsid of list) run(lsid)
  return {}
}

function ended(context, list) {
  return each(list, (lsid) => {
    context.server.sessions.end(lsid)
    context.server.cursors.end(sessionKey(lsid))
  })
}

export const transactions = {
  commitTransaction: {
    fields: ['recoveryToken', 'coordinator'],
    admin: true,
    writes: true,
    inTransaction: 'ending',
    run(context) {
      const { session, number } = inTransaction(context, 'commitTransaction')
      session.commit(number, { lsid: context.body.lsid, txnNumber: context.body.txnNumber })
      context.server.cursors.end(context.sessionKey, number)
      return {}
    },
  },

  abortTransaction: {
    fields: ['recoveryToken', 'coordinator'],
    admin: true,
    writes: true,
    inTransaction: 'ending',
    run(context) {
      const { session, number } = inTransaction(context, 'abortTransaction')
      session.check(number)
      if (session.state === 'committed') refuse(256, `Transaction with { txnNumber: ${number} } has been committed.`)
      session.abort()
      context.server.cursors.end(context.sessionKey, number)
      return {}
    },
  },

  endSessions: { fields: [], anyState: true, run: (context, body) => ended(context, body.endSessions) },
  killSessions: { fields: [], anyState: true, run: (context, body) => ended(context, body.killSessions) },
  refreshSessions: { fields: [], anyState: true, run: (_context, body) => each(body.refreshSessions, sessionKey) },
}
