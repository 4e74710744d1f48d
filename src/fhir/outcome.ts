/**
 * Failures a client can cause, as the OperationOutcome that answers them.
 *
 * https://hl7.org/fhir/R4/operationoutcome.html
 *
 * One maker for each kind of failure. `diagnostics` says what to do about it and never quotes patient data;
 * `expression` names the element or the parameter.
 */
import type { Json, JsonObject } from './json.js'

/** https://hl7.org/fhir/R4/valueset-issue-type.html */
export type IssueType =
  | 'invalid'
  | 'structure'
  | 'required'
  | 'value'
  | 'invariant'
  | 'security'
  | 'login'
  | 'unknown'
  | 'expired'
  | 'forbidden'
  | 'suppressed'
  | 'processing'
  | 'not-supported'
  | 'duplicate'
  | 'multiple-matches'
  | 'not-found'
  | 'deleted'
  | 'too-long'
  | 'code-invalid'
  | 'extension'
  | 'too-costly'
  | 'business-rule'
  | 'conflict'
  | 'transient'
  | 'lock-error'
  | 'no-store'
  | 'exception'
  | 'timeout'
  | 'incomplete'
  | 'throttled'
  | 'informational'

export type Issue = {
  severity: 'fatal' | 'error' | 'warning' | 'information'
  code: IssueType
  diagnostics: string
  expression?: string[]
}

/** An answer other than success. `headers` are sent with it (`Retry-After`, `Allow`, `WWW-Authenticate`). */
export class FhirError extends Error {
  constructor(
    readonly status: number,
    readonly issues: Issue[],
    readonly options: { cause?: unknown; headers?: Record<string, string> } = {},
  ) {
    super(issues.map(({ diagnostics }) => diagnostics).join('; '), { cause: options.cause })
  }

  get outcome(): JsonObject {
    return operationOutcome(this.issues)
  }
}

export function operationOutcome(issues: Issue[]): JsonObject {
  return { resourceType: 'OperationOutcome', issue: issues.map((issue): Json => ({ ...issue })) }
}

/** A maker of errors of one status and issue type; `expression` is where, for example `Patient.name[0].family`. */
function maker(status: number, code: IssueType) {
  return (diagnostics: string, expression?: string, options?: FhirError['options']) =>
    new FhirError(
      status,
      [{ severity: 'error', code, diagnostics, ...(expression !== undefined && { expression: [expression] }) }],
      options,
    )
}

export const invalid = maker(400, 'invalid')
export const structure = maker(400, 'structure')
export const unsupported = maker(400, 'not-supported')
export const tooCostly = maker(400, 'too-costly')
export const unauthenticated = maker(401, 'login')
export const forbidden = maker(403, 'forbidden')
export const notFound = maker(404, 'not-found')
export const notAllowed = maker(405, 'not-supported')
export const notAcceptable = maker(406, 'not-supported')
export const conflict = maker(409, 'conflict')
export const deleted = maker(410, 'deleted')
export const stale = maker(412, 'conflict')
export const multipleMatches = maker(412, 'multiple-matches')
export const tooLarge = maker(413, 'too-long')
export const unsupportedMedia = maker(415, 'not-supported')
export const invariant = maker(422, 'invariant')
export const unprocessable = maker(422, 'processing')
export const business = maker(422, 'business-rule')
export const throttled = maker(429, 'throttled')
export const unavailable = maker(503, 'transient')

export const makers = {
  invalid,
  structure,
  unsupported,
  tooCostly,
  unauthenticated,
  forbidden,
  notFound,
  notAllowed,
  notAcceptable,
  conflict,
  deleted,
  stale,
  multipleMatches,
  tooLarge,
  unsupportedMedia,
  invariant,
  unprocessable,
  business,
  throttled,
  unavailable,
}
