/**
 * Which representation a client wants, and which one it sent.
 *
 * https://hl7.org/fhir/R4/http.html#mime-type
 *
 * A generic type that was asked for (application/json, text/xml) is answered under its own name. A browser, which asks
 * for HTML and takes anything, is shown indented JSON. Headers repeat from request to request, so what they mean is
 * remembered.
 */
import { notAcceptable, unsupportedMedia } from '../fhir/index.js'

export type Format = { kind: 'json' | 'xml'; contentType: string; pretty: boolean }

/** One entry of an Accept header. */
export type MediaRange = { type: string; quality: number; fhirVersion: string | undefined; place: number }

/** What a request body is. */
export type Content = 'json' | 'xml' | 'json-patch' | 'form' | 'other'

const jsonTypes = ['application/fhir+json', 'application/json', 'text/json', 'application/json+fhir']
const xmlTypes = ['application/fhir+xml', 'application/xml', 'text/xml', 'application/xml+fhir']

/** For /metadata: what `_format` and Accept may say, and what a PATCH may be written in. */
export const formats = [...jsonTypes.slice(0, 3), 'json', ...xmlTypes.slice(0, 3), 'xml']
export const patchFormats = ['application/json-patch+json', 'application/fhir+json', 'application/fhir+xml']

/** The names R4 replaced are understood and answered with the new ones. */
const answered = new Map([
  ['application/json+fhir', 'application/fhir+json'],
  ['application/xml+fhir', 'application/fhir+xml'],
])

const wildcards = new Map([
  ['*/*', 'application/fhir+json'],
  ['application/*', 'application/fhir+json'],
  ['text/*', 'text/json'],
])

const shortNames = new Map([
  ['json', 'application/fhir+json'],
  ['xml', 'application/fhir+xml'],
])

const known = 'application/fhir+json, application/json, text/json, application/fhir+xml, application/xml, text/xml'

/** What a header was understood as before; emptied when strangers fill it with inventions. */
function remember<T>(understand: (header: string) => T): (header: string) => T {
  const memory = new Map<string, T>()
  return (header) => {
    const remembered = memory.get(header)
    if (remembered !== undefined) return remembered
    const understood = understand(header)
    if (memory.size >= 500) memory.clear()
    if (header.length <= 500) memory.set(header, understood)
    return understood
  }
}

function formatOf(type: string, fhirVersion: string | undefined, pretty: boolean): Format | undefined {
  if (fhirVersion !== undefined && fhirVersion !== '4.0' && fhirVersion !== '4.0.1') return undefined
  const kind = jsonTypes.includes(type) ? 'json' : xmlTypes.includes(type) ? 'xml' : undefined
  if (!kind) return undefined
  const version = fhirVersion === undefined ? '' : '; fhirVersion=4.0'
  return { kind, contentType: `${answered.get(type) ?? type}${version}; charset=utf-8`, pretty }
}

const plain = formatOf('application/fhir+json', undefined, false)!
const browser = formatOf('application/json', undefined, true)!

/** `application/fhir+json; fhirVersion=4.0; q=0.5` in parts, in lower case. */
function mediaType(text: string): { type: string; parameters: Map<string, string> } {
  const [type = '', ...rest] = text.split(';')
  const parameters = new Map<string, string>()
  for (const each of rest) {
    const equals = each.indexOf('=')
    if (equals > 0)
      parameters.set(
        each.slice(0, equals).trim().toLowerCase(),
        each
          .slice(equals + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1')
          .toLowerCase(),
      )
  }
  return { type: type.trim().toLowerCase(), parameters }
}

/** The entries of an Accept header, most wanted first; those with q=0 are left out. */
export const mediaRanges = remember((accept: string): MediaRange[] =>
  accept
    .split(',')
    .map((text, place) => {
      const { type, parameters } = mediaType(text)
      const quality = Number(parameters.get('q') ?? 1)
      return {
        type,
        quality: quality >= 0 && quality <= 1 ? quality : 1,
        fhirVersion: parameters.get('fhirversion'),
        place,
      }
    })
    .filter(({ type, quality }) => type !== '' && quality > 0)
    .sort((a, b) => b.quality - a.quality || stars(a.type) - stars(b.type) || a.place - b.place),
)

const stars = (type: string): number => (type === '*/*' ? 2 : type.endsWith('/*') ? 1 : 0)

const accepted = remember((accept: string): Format | 'none' => {
  const ranges = mediaRanges(accept)
  if (ranges.length === 0) return accept.trim() === '' ? plain : 'none'
  const takesAnything = ranges.some(({ type }) => type === '*/*')
  for (const { type, fhirVersion } of ranges) {
    if (type === 'text/html' && takesAnything) return browser
    const format = formatOf(wildcards.get(type) ?? type, fhirVersion, false)
    if (format) return format
  }
  return 'none'
})

/** `_format` as a MIME type; a plus sign that was not percent-encoded has become a space. */
export function formatParameter(value: string): Format {
  const { type, parameters } = mediaType(value.trim().replace(/ /g, '+'))
  const format = formatOf(shortNames.get(type) ?? type, parameters.get('fhirversion'), false)
  if (!format) throw notAcceptable(`_format must be json, xml or one of ${known}`, '_format')
  return format
}

/**
 * The format of an answer by the Accept header.
 *
 * @throws FhirError 406
 */
export function negotiate(accept: string | undefined): Format {
  if (accept === undefined) return plain
  const format = accepted(accept)
  if (format === 'none') throw notAcceptable(`Accept must allow one of ${known}, of FHIR version 4.0`)
  return format
}

/** The format of errors that come before, or of, negotiation. */
export const fallbackFormat = plain

const understood = remember((contentType: string): Content | 'version' | 'charset' => {
  const { type, parameters } = mediaType(contentType)
  const version = parameters.get('fhirversion')
  if (version !== undefined && version !== '4.0' && version !== '4.0.1') return 'version'
  const content = contentOf(type)
  const charset = parameters.get('charset')
  if (content !== 'other' && charset !== undefined && !/^(utf-?8|us-ascii)$/.test(charset)) return 'charset'
  return content
})

function contentOf(type: string): Content {
  if (jsonTypes.includes(type)) return 'json'
  if (xmlTypes.includes(type)) return 'xml'
  if (type === 'application/json-patch+json') return 'json-patch'
  return type === 'application/x-www-form-urlencoded' ? 'form' : 'other'
}

/**
 * What a body of this Content-Type is.
 *
 * @throws FhirError 415 for another version of FHIR or another character set than UTF-8
 */
export function contentKind(contentType: string | undefined): Content {
  if (contentType === undefined) return 'other'
  const content = understood(contentType)
  if (content === 'version') throw unsupportedMedia('This server speaks FHIR version 4.0 (fhirVersion=4.0)')
  if (content === 'charset') throw unsupportedMedia('FHIR is written in UTF-8; send charset=utf-8')
  return content
}

/** FHIR's own types, by their new or their old name. */
export const isFhirType = (type: string): boolean => /^application\/(fhir\+(json|xml)|(json|xml)\+fhir)$/.test(type)

/** Types that FHIR shares with everything else. */
export const isGenericType = (type: string): boolean => /^(application|text)\/(json|xml)$/.test(type)

export const unknownContent = (contentType: string | undefined, allowed: string) =>
  unsupportedMedia(
    contentType === undefined
      ? `The body has no Content-Type; send one of ${allowed}`
      : `This Content-Type is not understood here; send one of ${allowed}`,
  )
