/**
 * The rule that what is written keeps the profiles the hospital demands.
 *
 * https://hl7.org/fhir/R4/profiling.html#mixing
 */
import { FhirError, type Issue, isObject, parseJson, type Resource, splice } from '../fhir/index.js'
import type { Rule } from './context.js'

/** `known`: of meta.profile what is known here; canonicals: meta.profile must name one of them, and all is kept. */
export type Enforcement = 'off' | 'known' | readonly string[]

/** By type of resource, `*` for the types that are not named. */
export type Enforced = ReadonlyMap<string, Enforcement>

/** No rule at all where nothing is demanded: a change need not be read again for it. */
export function profileRules(enforced: Enforced): Rule[] {
  if ([...enforced.values()].every((each) => each === 'off')) return []
  const rule: Rule = async (change, _before, { profiles }) => {
    const enforcement = enforced.get(change.type) ?? enforced.get('*') ?? 'off'
    if (enforcement === 'off' || change.op !== 'put') return []
    const resource = parseJson(splice(change.serialized, 1, 0)) as Resource
    const issues = [...unclaimed(resource, enforcement), ...(await profiles.issues(resource, { claimed: true }))]
    if (issues.some(({ severity }) => severity === 'error')) throw new FhirError(422, issues)
    return []
  }
  const types = enforced.has('*') ? {} : { types: new Set(enforced.keys()) }
  return [Object.assign(rule, { ...types, onlyAfter: true as const })]
}

function unclaimed({ resourceType, meta }: Resource, enforcement: Enforcement): Issue[] {
  if (typeof enforcement === 'string') return []
  const claims = isObject(meta) && Array.isArray(meta['profile']) ? meta['profile'] : []
  const isOf = (claim: unknown, canonical: string) => claim === canonical || String(claim).split('|')[0] === canonical
  if (claims.some((claim) => enforcement.some((canonical) => isOf(claim, canonical)))) return []
  const diagnostics = `meta.profile must name a profile demanded here, and the resource keep it: ${enforcement.join(' or ')}`
  return [{ severity: 'error', code: 'required', diagnostics, expression: [`${resourceType}.meta.profile`] }]
}
