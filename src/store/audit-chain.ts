/**
 * The chain of an audit log: what is hashed of an entry, and how a chain is verified.
 *
 * https://www.rfc-editor.org/rfc/rfc9162#section-2.1
 *
 * Each record's hash covers the hash before it and all of the entry, so an edit, an insertion, a gap or another order
 * shows at the record where it was made. That the end is missing shows against an anchor: a head that was kept
 * elsewhere.
 */
import { hash as digest } from 'node:crypto'
import type { AuditEntry, AuditRecord } from './store.js'

/** What the first record of a chain follows. */
export const genesis: Buffer = Buffer.alloc(32)

/** What is hashed of an entry. JSON has no line break in it, so no two entries are written alike. */
export const written = ({ id, at, keys, text }: AuditEntry): string => `${JSON.stringify([id, at, ...keys])}\n${text}`

export const linkOf = (previousHash: Buffer, entry: AuditEntry): Buffer =>
  linkOfBytes(previousHash, Buffer.from(written(entry)))

/** The same for who has the bytes of what is written. */
export function linkOfBytes(previousHash: Buffer, bytes: Buffer): Buffer {
  const size = previousHash.length + bytes.length
  // Used again and again: a buffer for each record would cost as much as the hash.
  if (joined.length < size) joined = Buffer.alloc(2 * size)
  joined.set(previousHash)
  joined.set(bytes, previousHash.length)
  return digest('sha256', joined.subarray(0, size), 'buffer')
}

let joined = Buffer.alloc(4096)

/** The entry of what was written; undefined for what was not written by us. */
export function readEntry(text: string): AuditEntry | undefined {
  const end = text.indexOf('\n')
  try {
    const [id, at, ...keys] = JSON.parse(text.slice(0, end)) as [string, number, ...string[]]
    return { id, at, keys, text: text.slice(end + 1) }
  } catch {
    return undefined
  }
}

/** A place in a chain and what its hash must be, such as a signed head. */
export type Anchor = { sequence: number; hash: Buffer }

export type Finding = {
  sequence: number
  what:
    | 'is missing'
    | 'is not what was chained here'
    | 'is earlier than the one before it'
    | 'differs from its anchor'
    | 'is not reached: the end of the chain is missing'
}

/** Goes through the records of a chain in their order, a page at a time. */
export class Verifier {
  readonly findings: Finding[] = []
  private last: Anchor & { at: number }
  private readonly anchors: Map<number, Buffer>

  /** `from`: verify what follows this place, all of the chain if left out. */
  constructor({ from, anchors = [] }: { from?: Anchor; anchors?: readonly Anchor[] } = {}) {
    this.last = { ...(from ?? { sequence: 0, hash: genesis }), at: Number.NEGATIVE_INFINITY }
    const after = anchors.filter(({ sequence }) => sequence > this.last.sequence)
    this.anchors = new Map(after.map(({ sequence, hash }) => [sequence, hash]))
  }

  /** The last record gone through. */
  get head(): Anchor {
    return { sequence: this.last.sequence, hash: this.last.hash }
  }

  add(record: AuditRecord): void {
    const { sequence, hash, at } = record
    // What is durable and not chained yet has no place to be verified.
    if (sequence === undefined || hash === undefined) return
    const expected = this.last.sequence + 1
    if (sequence > expected) this.find(expected, 'is missing')
    else if (sequence < expected || !linkOf(this.last.hash, record).equals(hash))
      this.find(sequence, 'is not what was chained here')
    if (at < this.last.at) this.find(sequence, 'is earlier than the one before it')
    const anchor = this.anchors.get(sequence)
    if (anchor && !anchor.equals(hash)) this.find(sequence, 'differs from its anchor')
    this.anchors.delete(sequence)
    this.last = { sequence, hash, at }
  }

  /** All findings, those about anchors that were not reached included. */
  end(): Finding[] {
    for (const sequence of this.anchors.keys()) this.find(sequence, 'is not reached: the end of the chain is missing')
    this.anchors.clear()
    return this.findings
  }

  private find(sequence: number, what: Finding['what']): void {
    this.findings.push({ sequence, what })
  }
}
