/**
 * The conformance resources that come with the server: R4's own profiles and extensions, and those of profiles/hiv.
 *
 * https://hl7.org/fhir/R4/conformance-module.html
 *
 * They are read when one is first asked for, and found by canonical URL; what is stored under the same URL stands before
 * them.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { parseJson } from './json.js'
import type { Resource } from './resource.js'

const folder = new URL('../../profiles/', import.meta.url)

let byCanonical: Map<string, Resource> | undefined

/** By canonical, perhaps with `|version`. */
export function builtIn(canonical: string, type: string): Resource | undefined {
  byCanonical ??= readAll()
  const [url, version] = canonical.split('|')
  const found = byCanonical.get(`${type} ${url}`)
  return version === undefined || found?.['version'] === version ? found : undefined
}

function readAll(): Map<string, Resource> {
  const found = new Map<string, Resource>()
  const add = (resource: Resource) => found.set(`${resource.resourceType} ${String(resource['url'])}`, resource)
  const core = parseJson(readFileSync(new URL('r4/profiles.json', folder))) as Record<string, unknown>
  for (const resource of Object.values(core)) add(resource as Resource)
  for (const name of readdirSync(new URL('hiv/', folder)).filter((each) => each.endsWith('.json'))) {
    const resource = parseJson(readFileSync(new URL(`hiv/${name}`, folder))) as Resource
    // They change with the server only: what is computed from them may be kept.
    add({ ...resource, meta: { versionId: '1', lastUpdated: 'built-in' } })
  }
  return found
}
