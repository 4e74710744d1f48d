/**
 * A few named resources of one test, marked by a tag so that nothing else is found with them.
 */
import type { Bundle, FhirResource } from 'fhir/r4.js'
import { bundle, created, entriesOf, uniqueSystem } from '../server.js'

type Made = FhirResource | ((refs: Record<string, string>) => FhirResource)

export type World = {
  /** `Type/id` of each resource by its name. */
  refs: Record<string, string>
  /** The tag all of them have, as a search parameter. */
  tag: string
  /** Names of what a search of the type finds among them, in the order of the answer. */
  find(type: string, query: string): Promise<string[]>
  /** Names of the entries of a Bundle. */
  names(found: Bundle, mode?: 'match' | 'include'): string[]
}

export async function world(resources: Record<string, Made>): Promise<World> {
  const system = uniqueSystem()
  const refs: Record<string, string> = {}
  for (const [name, made] of Object.entries(resources)) {
    const resource = typeof made === 'function' ? made(refs) : made
    const meta = { ...resource.meta, tag: [...(resource.meta?.tag ?? []), { system, code: name }] }
    const { resourceType, id } = await created({ ...resource, meta } as FhirResource)
    refs[name] = `${resourceType}/${id}`
  }
  const nameOf = new Map(Object.entries(refs).map(([name, ref]) => [ref, name]))
  const names: World['names'] = (found, mode) =>
    entriesOf(found, mode).map(
      ({ resource }) => nameOf.get(`${resource?.resourceType}/${resource?.id}`) ?? 'a stranger',
    )
  const tag = `_tag=${encodeURIComponent(`${system}|`)}`
  return { refs, tag, names, find: async (type, query) => names(await bundle(`${type}?${tag}&${query}`), 'match') }
}
