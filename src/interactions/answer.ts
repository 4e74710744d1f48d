/**
 * What became of the entries of a batch or transaction, as the entries of the response Bundle.
 *
 * https://hl7.org/fhir/R4/http.html#transaction-response
 */
import { STATUS_CODES } from 'node:http'
import { type FhirError, instant, operationOutcome, type Resource, writeJson, writeString } from '../fhir/index.js'
import { join, type Piece } from './bundle.js'
import type { BatchResponse, BundleAnswer, Written } from './context.js'
import { etag } from './etag.js'

export type Prefer = 'minimal' | 'representation' | 'OperationOutcome'

/** The response to an entry that wrote, or found that there was nothing to write. */
export function written({ outcome, stored }: Written, prefer: Prefer, baseUrl: string): BatchResponse {
  const { type, id, version, updated, deleted, body } = stored
  const address = `${type}/${id}`
  const versioned = version > 0 && { etag: etag(version), lastModified: instant(updated) }
  if (deleted) return { status: 204, ...versioned, ...(prefer === 'OperationOutcome' && { outcome: said('deleted') }) }
  return {
    status: outcome === 'created' ? 201 : 200,
    location: `${address}/_history/${version}`,
    ...versioned,
    ...(prefer === 'representation' && { body, fullUrl: `${baseUrl}/${address}` }),
    ...(prefer === 'OperationOutcome' && { outcome: said(outcome) }),
  }
}

const said = (outcome: string) =>
  operationOutcome([
    { severity: 'information', code: 'informational', diagnostics: `the resource is ${outcome}` },
  ]) as Resource

/** The response to an entry that failed alone, in a batch. */
export const failed = (error: FhirError): BatchResponse => ({
  status: error.status,
  outcome: error.outcome as Resource,
})

/** A bug of ours in one entry of a batch; what it was is for the operator, not for the client. */
export const broken = (): BatchResponse => ({
  status: 500,
  outcome: operationOutcome([
    {
      severity: 'fatal',
      code: 'exception',
      diagnostics: 'this entry met an error of the server; the others are unaffected',
    },
  ]) as Resource,
})

/** The response Bundle in JSON. */
export function writeAnswer({ type, entries }: BundleAnswer): Buffer {
  const pieces: Piece[] = [`{"resourceType":"Bundle","type":"${type}"`]
  let separator = ',"entry":['
  for (const { status, location, etag, lastModified, body, fullUrl, outcome } of entries) {
    pieces.push(`${separator}{`)
    if (fullUrl !== undefined) pieces.push(`"fullUrl":${writeString(fullUrl)},`)
    if (body) pieces.push('"resource":', body, ',')
    pieces.push(
      `"response":{"status":"${statusText(status)}"${member('location', location)}${member('etag', etag)}${member(
        'lastModified',
        lastModified,
      )}${outcome ? `,"outcome":${writeJson(outcome)}` : ''}}}`,
    )
    separator = ','
  }
  pieces.push(separator === ',' ? ']}' : '}')
  return join(pieces)
}

const member = (name: string, value: string | undefined) =>
  value === undefined ? '' : `,"${name}":${writeString(value)}`

const statusText = (status: number): string => {
  const name = STATUS_CODES[status]
  return name === undefined ? String(status) : `${status} ${name}`
}
