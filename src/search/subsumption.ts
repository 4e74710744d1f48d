/**
 * `:in`, `:below` and `:above` of tokens: what terminology says, spelt out as codes.
 *
 * https://hl7.org/fhir/R4/search.html#modifiers
 */

import { FhirError, invalid } from '../fhir/index.js'
import { type Expression, or, type TokenTest } from './expression.js'
import { codesMax, type Scope } from './scope.js'

/** Any code of the value set. */
export async function codesIn(param: string, valueSet: string, { context, name }: Scope): Promise<Expression> {
  const codes = await context.terminology.expand(valueSet, codesMax).catch((error: unknown) => {
    // It is the search that cannot be understood; 404 would say that there is no such type.
    if (error instanceof FhirError && error.status === 404) throw invalid(`"${name}" names an unknown value set`, name)
    throw error
  })
  return or(...codes.map(({ system, code }): TokenTest => ({ op: 'token', param, system, code })))
}

/** The code and what it subsumes, or what subsumes it. */
export async function codesBelow(
  { param, system, code }: TokenTest,
  direction: 'below' | 'above',
  { context, name }: Scope,
): Promise<Expression> {
  if (!system || code === undefined) throw invalid(`"${name}" takes system|code`, name)
  const codes = await context.terminology.related({ system, code }, direction, codesMax)
  return or(...codes.map((each): TokenTest => ({ op: 'token', param, system: each.system, code: each.code })))
}
