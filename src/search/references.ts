/**
 * Reference search: to our own resources by type and id, to others by URL, by identifier where there is no link.
 *
 * https://hl7.org/fhir/R4/search.html#reference
 */
import { invalid, isId, isObject, isResourceType, type Json, localReference, parseReference } from '../fhir/index.js'
import type { Emit, Sink } from './entries.js'
import { type Expression, or, type ReferenceTest } from './expression.js'
import { identifier } from './tokens.js'

export function referenceEmitter(param: string, type: string): Emit | undefined {
  switch (type) {
    case 'Reference': {
      const byIdentifier = `${param}:identifier`
      return (value, sink) => {
        if (!isObject(value)) return
        refer(param, value['reference'], sink)
        if (isObject(value['identifier'])) identifier(byIdentifier, value['identifier'], sink.entries)
      }
    }
    case 'canonical':
    case 'uri':
    case 'url':
    case 'oid':
    case 'uuid':
      return (value, sink) => canonical(param, value, sink)
    case 'Attachment':
      return (value, sink) => {
        if (isObject(value)) refer(param, value['url'], sink)
      }
    // Bundle.entry[0].resource: the resource that is inside.
    case 'Resource':
      return (value, { entries }) => {
        if (!isObject(value)) return
        const { resourceType, id } = value
        if (typeof resourceType === 'string' && typeof id === 'string')
          entries.push({ kind: 'reference', param, type: resourceType, id })
      }
    default:
      return undefined
  }
}

/** What is contained has no identity of its own, so nobody can search for `#id`; but it is not `:missing` either. */
function refer(param: string, text: Json | undefined, { entries, baseUrls }: Sink): void {
  if (typeof text !== 'string' || text === '') return
  if (text.startsWith('#')) {
    entries.push({ kind: 'reference-url', param, url: '#' })
    return
  }
  const local = localReference(text, baseUrls)
  if (local) {
    const { type, id, version } = local
    entries.push({ kind: 'reference', param, type, id, ...(version !== undefined && { version }) })
  } else {
    entries.push({ kind: 'reference-url', param, url: text })
    const history = parseReference(text)?.version === undefined ? -1 : text.lastIndexOf('/_history/')
    // A search without a version finds every version.
    if (history > 0) entries.push({ kind: 'reference-url', param, url: text.slice(0, history) })
  }
}

/** `url|version` is found with and without its version, and also as one of our resources if it is. */
function canonical(param: string, value: Json, sink: Sink): void {
  if (typeof value !== 'string' || value === '') return
  if (value.startsWith('#')) {
    sink.entries.push({ kind: 'reference-url', param, url: '#' })
    return
  }
  const bar = value.indexOf('|')
  const plain = bar > 0 ? value.slice(0, bar) : value
  sink.entries.push({ kind: 'reference-url', param, url: value })
  if (plain !== value) sink.entries.push({ kind: 'reference-url', param, url: plain })
  const local = localReference(plain, sink.baseUrls)
  if (local) sink.entries.push({ kind: 'reference', param, type: local.type, id: local.id })
}

/**
 * `id`, `Type/id`, a version, an absolute URL or a canonical; `text` is unescaped. A bare id may be of any target.
 *
 * @throws FhirError naming the parameter
 */
export function referenceTest(
  param: string,
  text: string,
  name: string,
  { targets, baseUrls }: { targets: readonly string[]; baseUrls: readonly string[] },
): Expression {
  if (isId(text))
    return or(...targets.map((type): ReferenceTest => ({ op: 'reference', param, target: { type, id: text } })))
  const local = localReference(text, baseUrls)
  if (local) {
    const { type, id, version } = local
    return { op: 'reference', param, target: { type, id, ...(version !== undefined && { version }) } }
  }
  const [first] = text.split('/')
  if (text.startsWith('#') || (first !== undefined && isResourceType(first)))
    throw invalid(`"${name}" takes an id, Type/id, or an absolute URL`, name)
  return { op: 'reference', param, target: { url: text } }
}
