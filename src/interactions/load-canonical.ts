/**
 * Finds the resource that a canonical URL means, for terminology and validation: the named version, or the one that changed last.
 *
 * https://hl7.org/fhir/R4/references.html#canonical
 */
import { reach } from '../access/index.js'
import { isId, parseJson, type Resource } from '../fhir/index.js'
import { and, type Expression } from '../search/index.js'
import type { Stored } from '../store/index.js'
import { Recent } from '../terminology/index.js'
import type { Context } from './context.js'

/** Bytes of the resources that are kept parsed, so that a value set of many codes is not read anew by each search. */
const keptMax = 16 * 1024 * 1024

/** undefined where there is none; by canonical (perhaps with `|version`), or by `Type/id`. */
export type LoadCanonical = (canonicalOrRef: string, type: string) => Promise<Resource | undefined>

export function loadCanonical({ caller, store }: Pick<Context, 'caller' | 'store'>): LoadCanonical {
  const kept = new Recent<Resource>(keptMax)
  const parsed = ({ type, id, version, updated, body }: Stored): Resource => {
    const key = `${type}/${id}/${version}/${updated}`
    const known = kept.get(key)
    if (known) return known
    const resource = parseJson(body) as Resource
    kept.set(key, resource, body.length)
    return resource
  }
  return async (canonicalOrRef, type) => {
    const mine = reach(caller, 'read')
    if (canonicalOrRef.startsWith(`${type}/`)) {
      const id = canonicalOrRef.slice(type.length + 1)
      const stored = isId(id) ? await store.read({ type, id }, mine) : undefined
      return stored && !stored.deleted ? parsed(stored) : undefined
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
    return newest && parsed(newest.stored)
  }
}
