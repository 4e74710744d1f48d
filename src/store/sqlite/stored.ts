/**
 * A version as it lies in the file, and as it is handed out.
 *
 * https://hl7.org/fhir/R4/bundle.html#history
 */
import type { Stored } from '../store.js'

export type Method = Stored['method']

const methods: readonly Method[] = ['POST', 'PUT', 'PATCH', 'DELETE']

export const methodNumber = {
  of: (method: Method): number => methods.indexOf(method),
  from: (number: number): Method => methods[number]!,
}

export type VersionRow = {
  rid: number
  tid: number
  id: string
  seq: number
  version: number
  updated: number
  method: number
  body: Buffer
}

export function storedOf(
  { tid, id, version, updated, method, body }: VersionRow,
  typeOf: (tid: number) => string,
): Stored {
  const word = methodNumber.from(method)
  return { type: typeOf(tid), id, version, updated, deleted: word === 'DELETE', method: word, body }
}
