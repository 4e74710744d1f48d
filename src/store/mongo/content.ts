/**
 * Bytes that a document has no room for, such as those of a large Binary: in parts, beside the version they are of.
 *
 * https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-BSON-Document-Size
 *
 * Parts are written in the transaction of their version and never again, so that a version which is there is whole and
 * nothing is left of one that is not: GridFS, which knows no transactions, would need a sweep.
 */
import type { Binary, ClientSession, Db } from 'mongodb'
import { binary, type Row, withBytes } from './stored.js'

export const contentCollection = 'content'

/** Longer bytes are kept in parts. */
export const wholeMax = 8 * 1024 * 1024
const partSize = 8 * 1024 * 1024

export type PartDocument<Bytes = Binary> = { _id: string; t: string; data: Bytes }

const partKey = (version: string, part: number): string => `${version}/${String(part).padStart(6, '0')}`

/** `version` names the tenant, the type, the id and the version. */
export function partsOf(tenant: string, version: string, body: Buffer): PartDocument[] {
  const count = Math.ceil(body.length / partSize)
  return Array.from({ length: count }, (_, i) => ({
    _id: partKey(version, i),
    t: tenant,
    data: binary(body.subarray(i * partSize, (i + 1) * partSize)),
  }))
}

export type Parted = { row: Row; version: string }

/** Puts together the bytes of those that are kept in parts. */
export async function whole(
  db: Db,
  rows: readonly Parted[],
  options: { session?: ClientSession; maxTimeMS?: number },
): Promise<void> {
  const parted = rows.filter(({ row }) => row.parts)
  if (!parted.length) return
  const ids = parted.flatMap(({ row, version }) => Array.from({ length: row.parts! }, (_, i) => partKey(version, i)))
  // Stated with the cursor, or the default of the client would be sent, which a snapshot session refuses.
  const readConcern = options.session?.snapshotEnabled && { readConcern: { level: 'snapshot' } as const }
  const found = await db
    .collection<PartDocument<Buffer>>(contentCollection)
    .find({ _id: { $in: ids } }, { ...options, ...readConcern, ...withBytes })
    .toArray()
  const bytes = new Map(found.map(({ _id, data }) => [_id, data]))
  for (const { row, version } of parted) {
    const parts = Array.from({ length: row.parts! }, (_, i) => bytes.get(partKey(version, i)))
    if (parts.some((part) => !part)) throw new Error('the content of a version is not whole')
    row.body = Buffer.concat(parts as Buffer[])
  }
}
