/**
 * The Prefer header: what a client would like returned, and how strictly unknown parameters are taken.
 *
 * https://hl7.org/fhir/R4/http.html#ops
 * https://hl7.org/fhir/R4/search.html#errors
 *
 * Preferences we do not know are ignored, as RFC 7240 wants.
 */
export type Prefer = {
  return?: 'minimal' | 'representation' | 'OperationOutcome'
  handling?: 'strict' | 'lenient'
}

const none: Prefer = {}

export function parsePrefer(header: string | undefined): Prefer {
  if (header === undefined) return none
  const prefer: Prefer = {}
  for (const each of header.split(/[,;]/)) {
    const [name = '', value = ''] = each.split('=').map((part) => part.trim().replace(/^"(.*)"$/, '$1'))
    if (name.toLowerCase() === 'return') {
      const wanted = (['minimal', 'representation', 'OperationOutcome'] as const).find(
        (known) => known.toLowerCase() === value.toLowerCase(),
      )
      if (wanted) prefer.return ??= wanted
    }
    if (name.toLowerCase() === 'handling' && (value === 'strict' || value === 'lenient')) prefer.handling ??= value
  }
  return prefer
}
