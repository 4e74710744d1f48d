/**
 * Everything that $validate checks: structure, required bindings and the invariants of the base specification.
 *
 * https://hl7.org/fhir/R4/validation.html
 */
import type { Issue, Json } from '../fhir/index.js'
import { collectInSteps } from './findings.js'
import { checkInvariants } from './invariants.js'
import { structureIssues } from './structure.js'

/**
 * All that is wrong with a resource; empty if nothing is. Invariants are asked only of a sound structure (codes aside),
 * because on a broken one their answers would mislead; a long check lets other requests go first.
 */
export async function validate(resource: Json, { invariants } = { invariants: true }): Promise<Issue[]> {
  const found = structureIssues(resource)
  if (!invariants || found.some(({ code }) => code !== 'code-invalid')) return found
  return [...found, ...(await collectInSteps((findings) => checkInvariants(resource, findings)))]
}
