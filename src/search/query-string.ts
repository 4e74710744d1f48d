/**
 * The parameters of a URL or a form, decoded and encoded.
 *
 * https://url.spec.whatwg.org/#urlencoded-parsing
 *
 * Unlike URLSearchParams we refuse what is not encoded properly, since guessing would search for something else.
 */
import { invalid, tooLarge } from '../fhir/index.js'

const lengthMax = 1_000_000
const countMax = 1000

/** Name and value of each parameter, in order; `+` is a space. */
export function readParameters(queryString: string): [name: string, value: string][] {
  const text = queryString.startsWith('?') ? queryString.slice(1) : queryString
  if (text.length > lengthMax) throw tooLarge(`the parameters are longer than ${lengthMax} characters`)
  const parameters: [string, string][] = []
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('&', at)
    const pair = text.slice(at, end < 0 ? text.length : end)
    at = end < 0 ? text.length : end + 1
    if (pair === '') continue
    if (parameters.length === countMax) throw tooLarge(`there are more than ${countMax} parameters`)
    const equals = pair.indexOf('=')
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals))
    if (name === '') throw invalid('a parameter has no name')
    parameters.push([name, equals < 0 ? '' : decoded(pair.slice(equals + 1))])
  }
  return parameters
}

function decoded(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch (cause) {
    throw invalid('a parameter is not percent-encoded UTF-8; write % itself as %25', undefined, { cause })
  }
}

/** What may stand in a query as it is, and makes a link of a search readable. */
const readable = /%(?:2C|3A|2F|24|40)/g

/** The query string, without `?`. */
export function writeParameters(parameters: readonly (readonly [name: string, value: string])[]): string {
  return parameters.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&')
}

/** A lone surrogate has no UTF-8: it is written as the replacement character. */
const encoded = (text: string): string =>
  encodeURIComponent(text.replace(loneSurrogate, '\ufffd')).replace(readable, decodeURIComponent)

const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
