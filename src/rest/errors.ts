/**
 * Whatever went wrong, as the OperationOutcome that is answered.
 *
 * https://hl7.org/fhir/R4/http.html#2.21.0.4
 *
 * An error that no client can cause is our bug: the answer carries a reference number, the cause is in the log only.
 */
import { randomUUID } from 'node:crypto'
import { FhirError, JsonError, structure, tooCostly } from '../fhir/index.js'
import { StoreLimit, StoreUnavailable } from '../store/index.js'

export type Report = (error: unknown, reference: string) => void

/** The FhirError of anything thrown; `report` is told what nobody expected. */
export function fhirErrorOf(error: unknown, report: Report): FhirError {
  if (error instanceof FhirError) return error
  if (error instanceof JsonError) return structure(error.message, undefined, { cause: error })
  if (error instanceof StoreLimit)
    return tooCostly(`${error.message}; ask for fewer at a time`, undefined, { cause: error })
  if (error instanceof StoreUnavailable)
    return new FhirError(503, [{ severity: 'error', code: 'transient', diagnostics: error.message }], {
      cause: error,
      headers: { 'Retry-After': '1' },
    })
  const reference = randomUUID()
  report(error, reference)
  return new FhirError(
    500,
    [
      {
        severity: 'fatal',
        code: 'exception',
        diagnostics: `The server failed; this is not your fault. Tell its operator the reference ${reference}.`,
      },
    ],
    { cause: error },
  )
}
