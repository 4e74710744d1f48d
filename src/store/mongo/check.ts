/**
 * Compares what lies in the database with what it must be: the index values with a rebuild, the versions with each
 * other, the sequence with the commits.
 *
 * https://www.mongodb.com/docs/manual/reference/command/validate/
 */
import type { Db } from 'mongodb'
import type { IndexEntry } from '../../search/index.js'
import { Verifier } from '../audit-chain.js'
import type { AuditLog, Stored } from '../store.js'
import type { CurrentDocument } from './document.js'
import { searchableOf } from './maintenance.js'
import { type CommitDocument, commitsCollection } from './marks.js'
import { historyOf, type Reader } from './reader.js'
import type { Root } from './root.js'
import { withBytes } from './stored.js'
import { mixed } from './tokens.js'

const compared = ['k', 'x', 'q', 'd', 'n', 'pt', 'c', 'g', 's', 'date1'] as const

export async function check(
  db: Db,
  reader: Reader,
  root: Root,
  audit: AuditLog,
  entries: (stored: Stored) => IndexEntry[],
): Promise<string[]> {
  const counts = new Map<string, number>()
  const add = (sentence: string) => counts.set(sentence, (counts.get(sentence) ?? 0) + 1)
  for (const type of await root.allTypes()) {
    for await (const document of db.collection<CurrentDocument<Buffer>>(type).find({ t: reader.tenant }, withBytes)) {
      const { del, body } = await wholeOf(reader, type, document)
      if (del !== (body.length === 0)) add(`${type}: a resource and its content disagree`)
      const rebuilt: Partial<CurrentDocument<Buffer>> = del ? {} : searchableOf(type, { ...document, body }, entries)
      if (document.vis !== mixed && document.vis !== rebuilt.vis) add(`${type}: vis differs from a rebuild`)
      for (const name of compared)
        if (canonical(document[name]) !== canonical(rebuilt[name])) add(`${type}: ${name} differs from a rebuild`)
    }
    const lacking = await reader.aggregate<{ n: number }>(type, [
      { $match: { t: reader.tenant, v: { $gt: 1 } } },
      {
        $lookup: {
          from: historyOf(type),
          localField: 'id',
          foreignField: 'id',
          pipeline: [{ $match: { t: reader.tenant } }, { $project: { _id: 1 } }],
          as: 'old',
        },
      },
      { $match: { $expr: { $ne: [{ $size: '$old' }, { $subtract: ['$v', 1] }] } } },
      { $count: 'n' },
    ])
    for (const { n } of lacking) for (let i = 0; i < n; i++) add(`${type}: a resource lacks a version`)
  }
  let last = 0
  const marks = db
    .collection<CommitDocument>(commitsCollection)
    .find({ t: reader.tenant, seq: { $gt: 0 } })
    .sort({ seq: 1 })
  for await (const { seq, n } of marks) {
    if (seq - n !== last) add('the sequence has a gap')
    last = seq
  }
  for (const finding of await broken(audit)) add(`the audit log: a record ${finding}`)
  return [...counts].map(([sentence, times]) => (times === 1 ? sentence : `${sentence} (${times} times)`))
}

/** The same for two that say the same: the order within lists plays no part. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return JSON.stringify(value.map(canonical).sort())
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? ''
  return JSON.stringify(
    Object.entries(value)
      .map(([key, each]) => [key, canonical(each)])
      .sort(),
  )
}

/** With its bytes, wherever those are kept. */
async function wholeOf(
  reader: Reader,
  type: string,
  document: CurrentDocument<Buffer>,
): Promise<CurrentDocument<Buffer>> {
  if (!document.parts) return document
  const [whole] = await reader.whole([{ ...document, type }])
  return whole!
}

const pageSize = 1000

/** What is wrong along the chain of the audit log. */
async function broken(audit: AuditLog): Promise<string[]> {
  const verifier = new Verifier()
  for (;;) {
    const page = await audit.chain(verifier.head.sequence, pageSize)
    for (const record of page) verifier.add(record)
    if (page.length < pageSize) return verifier.end().map(({ what }) => what)
  }
}
