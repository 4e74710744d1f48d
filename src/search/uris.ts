/**
 * URI search: compared character by character; `:below` and `:above` along the path.
 *
 * https://hl7.org/fhir/R4/search.html#uri
 */
import type { Emit } from './entries.js'

export function uriEmitter(param: string, type: string): Emit | undefined {
  switch (type) {
    case 'uri':
    case 'url':
    case 'oid':
    case 'uuid':
      return (value, { entries }) => {
        if (typeof value === 'string') entries.push({ kind: 'uri', param, value })
      }
    // A canonical with a version is found without it too: `_profile=http://…` means every version.
    case 'canonical':
      return (value, { entries }) => {
        if (typeof value !== 'string') return
        entries.push({ kind: 'uri', param, value })
        const bar = value.indexOf('|')
        if (bar > 0) entries.push({ kind: 'uri', param, value: value.slice(0, bar) })
      }
    default:
      return undefined
  }
}
