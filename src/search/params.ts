/**
 * The search parameters in force: R4's and those uploaded, by type and code.
 *
 * https://hl7.org/fhir/R4/searchparameter.html
 */
import { detached, type SearchParam, standardSearchParams } from '../fhir/index.js'

/** `state` of an uploaded parameter: 'indexing' until every resource has been looked at. */
export type ActiveParam = SearchParam & { state: 'active' | 'indexing' }

export interface SearchParams {
  find(type: string, code: string): ActiveParam | undefined
  byUrl(url: string): ActiveParam | undefined
  /** All that apply to a type, those of Resource and DomainResource included. */
  of(type: string): readonly ActiveParam[]
}

/** The R4 parameters and `custom` ones; a custom one with the same type and code stands before R4's. */
export function searchParams(custom: readonly ActiveParam[] = []): SearchParams {
  const all = [...custom, ...standardSearchParams.map((param): ActiveParam => ({ ...param, state: 'active' }))]
  const byUrl = new Map(all.map((param) => [param.url, param]))
  const byType = new Map<string, Map<string, ActiveParam>>()
  const table = (type: string) => {
    let found = byType.get(type)
    if (!found) {
      found = new Map()
      for (const param of all)
        if (param.base.some((base) => base === type || base === 'Resource' || base === 'DomainResource'))
          if (!found.has(param.code)) found.set(param.code, param)
      byType.set(detached(type), found)
    }
    return found
  }
  return {
    find: (type, code) => table(type).get(code),
    byUrl: (url) => byUrl.get(url),
    of: (type) => [...table(type).values()],
  }
}
