/**
 * A version as it lies in the file, and as it is handed out.
 *
 * https://hl7.org/fhir/R4/resource.html#Meta
 *
 * The first 130 bytes of a resource say what columns say too (type, id, version, time): only what follows is stored,
 * and what is long is deflated. Reading puts the bytes together again, exactly as they were answered at first.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { instant, type Ref, type Serialized, writeString } from '../../fhir/index.js'
import type { Stored } from '../store.js'
import { raw } from './sql.js'

export type Method = Stored['method']

const methods: readonly Method[] = ['POST', 'PUT', 'PATCH', 'DELETE']

/** Bits of the column `method` beside the method itself. */
const headless = 4
const deflated = 8

/**
 * Inflating costs 10 to 50 µs, a page has 20 of them: only what is long anyway. 4 % of Synthea's resources are, with
 * 20 % of the bytes and most of the room wasted at the ends of pages.
 */
const deflateFrom = 4096

export type Kept = { method: number; body: Buffer }

const headOf = (type: string, id: string): string =>
  `{"resourceType":${writeString(type)},"id":${writeString(id)},"meta":{`

/** What is stored of a new version; undefined where that depends on the version and the time. */
export function keepTail({ type, id }: Ref, method: Method, { head, tail }: Serialized): Kept | undefined {
  return head === headOf(type, id) ? deflate(methods.indexOf(method) + headless, Buffer.from(tail)) : undefined
}

export const keepWhole = (method: Method, body: Buffer): Kept => deflate(methods.indexOf(method), body)

function deflate(bits: number, body: Buffer): Kept {
  if (body.length < deflateFrom) return { method: bits, body }
  const short = deflateRawSync(body, { level: 1 })
  return short.length < body.length ? { method: bits + deflated, body: short } : { method: bits, body }
}

export const keptDelete: Kept = { method: methods.indexOf('DELETE'), body: Buffer.alloc(0) }

export const isDelete = (method: number): boolean => (method & 3) === keptDelete.method

/** `place` is the rid or the seq, as the statement has it. */
export type VersionRow = [
  place: number,
  tid: number,
  id: string,
  version: number,
  updated: number,
  method: number,
  body: Buffer,
]

const columns = 'r.tid, r.id, v.version, v.updated, v.method, v.body'
export const byRid = raw(`r.rid, ${columns}`)
export const bySeq = raw(`v.seq, ${columns}`)

let lastUpdated = Number.NaN
let lastInstant = ''

export function storedOf(
  [, tid, id, version, updated, method, body]: VersionRow,
  typeOf: (tid: number) => string,
): Stored {
  const type = typeOf(tid)
  const word = methods[method & 3]!
  const full = body.length ? restore({ type, id, version, updated, method }, body) : body
  return { type, id, version, updated, deleted: word === 'DELETE', method: word, body: full }
}

type Meta = Ref & { version: number; updated: number; method: number }

function restore({ type, id, version, updated, method }: Meta, body: Buffer): Buffer {
  const tail = method & deflated ? inflateRawSync(body) : body
  if (!(method & headless)) return tail
  if (updated !== lastUpdated) {
    lastUpdated = updated
    lastInstant = instant(updated)
  }
  // Types and ids are ASCII, so the text has as many bytes as characters.
  const head = `{"resourceType":"${type}","id":"${id}","meta":{"versionId":"${version}","lastUpdated":"${lastInstant}"`
  const full = Buffer.allocUnsafe(head.length + tail.length)
  full.write(head, 'latin1')
  tail.copy(full, head.length)
  return full
}
