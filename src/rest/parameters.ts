/**
 * The parameters of a query string or a form, decoded and in their order.
 *
 * https://url.spec.whatwg.org/#urlencoded-parsing
 *
 * Unlike the URL standard, what is not valid percent-encoded UTF-8 is refused instead of replaced.
 */
import { invalid, tooCostly } from '../fhir/index.js'

export type Parameter = [name: string, value: string]

/** @throws FhirError 400 */
export function parseParameters(text: string, parametersMax: number): Parameter[] {
  const parameters: Parameter[] = []
  let at = 0
  while (at < text.length) {
    let end = text.indexOf('&', at)
    if (end < 0) end = text.length
    if (end > at) {
      if (parameters.length >= parametersMax)
        throw tooCostly(`A request may have ${parametersMax} parameters; this one has more`)
      const equals = text.indexOf('=', at)
      const nameEnd = equals < 0 || equals > end ? end : equals
      parameters.push([decode(text.slice(at, nameEnd)), nameEnd === end ? '' : decode(text.slice(nameEnd + 1, end))])
    }
    at = end + 1
  }
  return parameters
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  return spaced.includes('%') ? decodePercent(spaced) : spaced
}

/** @throws FhirError 400 */
export function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw invalid('The URL or form has a "%" that begins no percent-encoded UTF-8', undefined, { cause })
  }
}
