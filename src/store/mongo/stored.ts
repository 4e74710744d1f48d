/**
 * A version as a document holds it, and as it is handed out.
 *
 * https://hl7.org/fhir/R4/resource.html#Meta
 */
import { Binary } from 'mongodb'
import type { Stored } from '../store.js'

/**
 * What every document of a version has. `w` is its place in the order in which versions were written; bytes are a Binary
 * as they are written, and a Buffer as they are read.
 */
export type VersionDocument<Bytes = Binary> = {
  /** `tenant/id`, and in the history `tenant/id/version`. */
  _id: string
  t: string
  id: string
  v: number
  lu: number
  w: number
  m: Stored['method']
  del: boolean
  body: Bytes
  /** How many parts the bytes are kept in, where they are not here. */
  parts?: number
}

/** What a read asks for. */
export const versionFields = { id: 1, v: 1, lu: 1, w: 1, m: 1, del: 1, body: 1, parts: 1 } as const

export type Row = Pick<VersionDocument<Buffer>, keyof typeof versionFields>

/** How what has bytes is read: they are a view of the reply. */
export const withBytes = { promoteBuffers: true } as const

export function storedOf(type: string, { id, v, lu, m, del, body }: Row): Stored {
  return { type, id, version: v, updated: lu, deleted: del, method: m, body }
}

export const binary = (bytes: Buffer): Binary => new Binary(bytes)
