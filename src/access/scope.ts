/**
 * One SMART scope for resources.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
 */
import type { Act } from './caller.js'

/** `type` undefined is `*`. `where` holds the search parameters of a granular scope as a query string. */
export type Scope = {
  level: 'patient' | 'user' | 'system'
  type?: string
  acts: ReadonlySet<Act>
  where?: string
}
