/**
 * A $operation: what it is called, where, and what it answers. The HTTP layer routes by this table and /metadata lists it.
 *
 * https://hl7.org/fhir/R4/operations.html
 */
import type { Resource } from '../fhir/index.js'
import type { Context } from '../interactions/index.js'

/** `parameters` are those of the query string; `input` is the body of a POST (Parameters, or the resource itself). */
export type OperationCall = {
  type?: string
  id?: string
  parameters: [name: string, value: string][]
  input?: Resource
  /** The absolute URL of the call without its query, for links. */
  url: string
}

/**
 * `status` is 200 unless said otherwise, `location` (relative to the base URL) where something was stored. A stream
 * yields pieces of one JSON document.
 */
export type OperationAnswer =
  | { kind: 'resource'; resource: Resource; status?: number }
  | { kind: 'bytes'; body: Buffer; status?: number; location?: string }
  | { kind: 'stream'; pieces: AsyncIterable<Buffer> }

export type Operation = {
  /** The canonical of its OperationDefinition. */
  definition: string
  /** Without the dollar. */
  code: string
  system: boolean
  /** Types it is for; absent: all. */
  types?: readonly string[]
  type: boolean
  instance: boolean
  /** Only POST may change state. */
  affectsState: boolean
  run(context: Context, call: OperationCall): Promise<OperationAnswer>
}
