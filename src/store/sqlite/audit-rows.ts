/**
 * Records of an audit log as they lie in a row: each with its length and its hash, one after the other.
 *
 * https://www.rfc-editor.org/rfc/rfc9162#section-2.1
 */
import { linkOfBytes, readEntry } from '../audit-chain.js'
import type { AuditEntry, AuditRecord } from '../store.js'

/** A tenant has room for so many records: with its number before the sequence number, both fit a safe integer. */
export const auditSpan = 2 ** 38
/** So many records are found by one part of the index of keys. */
const portionSpan = 4096
/** At most so many records lie in a row, and few if they are long: a row is read as a whole. */
const recordsMax = 32
const bytesMax = 32_768

const lengthSize = 4
const hashSize = 32

export const portionOf = (place: number): number => Math.floor(place / portionSpan)

/** Keys that end alike are found together. */
const buckets = 64
export const bucketOf = (key: number): number => key % buckets

/** The keys of rows that follow each other, by bucket: each four bytes of key and two of how far on its row is. */
export class KeyList {
  private readonly of = new Map<number, number[]>()
  private readonly listed = new Set<number>()
  private last = -1

  constructor(readonly place: number) {}

  /** The keys of a record; what another one of the same row has is not listed again. */
  add(place: number, keys: readonly number[]): void {
    if (place !== this.last) this.listed.clear()
    this.last = place
    for (const key of keys) {
      if (this.listed.has(key)) continue
      this.listed.add(key)
      const bucket = bucketOf(key)
      const list = this.of.get(bucket)
      if (list) list.push(key, place - this.place)
      else this.of.set(bucket, [key, place - this.place])
    }
  }

  *packed(): Generator<{ bucket: number; keys: Buffer }> {
    for (const [bucket, list] of this.of) {
      const keys = Buffer.allocUnsafe(list.length * 3)
      for (let i = 0; i < list.length; i += 2) {
        keys.writeUInt32BE(list[i]!, i * 3)
        keys.writeUInt16BE(list[i + 1]!, i * 3 + 4)
      }
      yield { bucket, keys }
    }
  }
}

/** The places of the rows that have the key, in order. */
export function placesIn(place: number, keys: Buffer, key: number): number[] {
  const places: number[] = []
  for (let at = 0; at < keys.length; at += keySize)
    if (keys.readUInt32BE(at) === key) places.push(place + keys.readUInt16BE(at + 4))
  return places
}

export const keySize = 6

export const keyBytes = (key: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(key)
  return bytes
}

/** What an entry is found by. */
export function keysOf({ id, keys }: AuditEntry): number[] {
  const numbers = [idNumber(id)]
  for (const key of keys) numbers.push(keyNumber(key))
  return numbers
}

/** Keys of the index are numbers; two that share one are told apart by the records themselves. */
export const keyNumber = (key: string): number => number(0x811c9dc5, key)
export const idNumber = (id: string): number => number(0x1b873593, id)

/** FNV-1a over UTF-16. */
function number(start: number, text: string): number {
  let a = start
  for (let i = 0; i < text.length; i++) a = Math.imul(a ^ text.charCodeAt(i), 0x01000193)
  return a >>> 0
}

/** The records of a row: as many of the written entries as fit. */
export function rowed<T extends { bytes: Buffer }>(entries: readonly T[]): T[][] {
  const rows: T[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const entry of entries) {
    const row = rows.at(-1)
    size += entry.bytes.length
    if (row && row.length < recordsMax && size <= bytesMax) row.push(entry)
    else {
      rows.push([entry])
      size = entry.bytes.length
    }
  }
  return rows
}

/** Chains the entries to `previous`; `hash` is that of the last. */
export function packRecords(previous: Buffer, entries: readonly { bytes: Buffer }[]): { data: Buffer; hash: Buffer } {
  const size = entries.reduce((sum, { bytes }) => sum + lengthSize + hashSize + bytes.length, 0)
  const data = Buffer.allocUnsafe(size)
  let hash = previous
  let at = 0
  for (const { bytes } of entries) {
    hash = linkOfBytes(hash, bytes)
    data.writeUInt32LE(bytes.length, at)
    data.set(hash, at + lengthSize)
    data.set(bytes, at + lengthSize + hashSize)
    at += lengthSize + hashSize + bytes.length
  }
  return { data, hash }
}

/** What cannot be read (somebody changed it) is a record that says nothing and does not fit the chain. */
export function unpackRecords(first: number, data: Buffer): (AuditRecord & { sequence: number; hash: Buffer })[] {
  const records = []
  for (let at = 0; at + lengthSize + hashSize <= data.length; ) {
    const start = at + lengthSize + hashSize
    const end = Math.min(start + data.readUInt32LE(at), data.length)
    const text = data.toString('utf8', start, end)
    const entry = readEntry(text) ?? { id: '', at: 0, keys: [], text }
    records.push({ ...entry, sequence: first + records.length, hash: data.subarray(at + lengthSize, start) })
    at = end
  }
  return records
}
