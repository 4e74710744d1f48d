/**
 * What a role does not see of the resources it may see: whole elements, by the role and never by the data.
 *
 * https://hl7.org/fhir/R4/security-labels.html
 */
import { standardSearchParams, typeDefinition } from '../fhir/index.js'
import type { Caller } from './caller.js'
import { isUnlimited } from './reach.js'
import { roleOf } from './roles.js'

/** The part of one type that is left out, and the parameters that tell nothing of it. */
export type View = { without: ReadonlySet<string>; searchable: ReadonlySet<string> }

/** By type; undefined where the role sees everything of what it sees. */
export type Views = ReadonlyMap<string, View>

const byRole = new Map<string, Views | undefined>()

export function viewsOf(caller: Caller): Views | undefined {
  if (isUnlimited(caller)) return undefined
  const { role } = caller
  if (byRole.has(role)) return byRole.get(role)
  const views = new Map<string, View>()
  const known = roleOf(role)
  for (const { types, without } of known?.cells ?? [])
    if (without) for (const type of types) views.set(type, viewOf(type, without))
  const answer = views.size ? views : undefined
  if (known) byRole.set(role, answer)
  return answer
}

function viewOf(type: string, without: readonly string[]): View {
  const hidden = new Set(without.map((name) => elementNamed(type, name)))
  const searchable = new Set(['_id', '_lastUpdated', '_tag', '_profile', '_security', '_source'])
  for (const { code, base, type: kind, expression = '' } of standardSearchParams) {
    if (kind === 'composite' || !base.includes(type)) continue
    const elements = [...expression.matchAll(/\b([A-Z][A-Za-z]+)\.([a-z][A-Za-z]*)/g)]
      .filter(([, of]) => of === type)
      .map(([, , element]) => element!)
    if (elements.length && elements.every((element) => !hidden.has(element))) searchable.add(code)
  }
  return { without: new Set(without), searchable }
}

/** `multipleBirth` of multipleBirthInteger; names without a definition are their own. */
const elementNamed = (type: string, name: string): string =>
  typeDefinition(type)?.properties.get(name.startsWith('_') ? name.slice(1) : name)?.element.name ?? name
