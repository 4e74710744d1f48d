/**
 * Finds the resource that a canonical URL means, for terminology: the named version, or the one that changed last.
 *
 * https://hl7.org/fhir/R4/references.html#canonical
 */
import { reach } from '../access/index.js'
import { isId, parseJson, type Resource } from '../fhir/index.js'
import { and, type Expression } from '../search/index.js'
import type { Load } from '../terminology/index.js'
import type { Context } from './context.js'

export function loadCanonical({ caller, store }: Pick<Context, 'caller' | 'store'>): Load {
  return async (canonicalOrRef, type) => {
    const mine = reach(caller, 'read')
    if (canonicalOrRef.startsWith(`${type}/`)) {
      const id = canonicalOrRef.slice(type.length + 1)
      const stored = isId(id) ? await store.read({ type, id }, mine) : undefined
      return stored && !stored.deleted ? (parseJson(stored.body) as Resource) : undefined
    }
    const [url = '', version] = canonicalOrRef.split('|')
    const where: Expression[] = [{ op: 'uri', param: 'url', how: 'exact', value: url }]
    if (version !== undefined) where.push({ op: 'token', param: 'version', code: version })
    const { matches } = await store.search(
      {
        types: [type],
        where: and(...where),
        sort: [{ param: '_lastUpdated', descending: true }],
        include: [],
        count: 1,
        total: false,
      },
      mine,
    )
    const [newest] = matches
    return newest && (parseJson(newest.stored.body) as Resource)
  }
}
