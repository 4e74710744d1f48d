/**
 * The security labels a write leaves: what the labelling service finds, what the client adds, and what was there before.
 *
 * https://hl7.org/fhir/R4/security-labels.html
 *
 * A client may raise and never lower: sensitivities stay once they are there, and of confidentiality the highest counts.
 * Where nobody is limited what the client says counts as it stands (that is how records are loaded), but what the
 * content itself shows is labelled there as well.
 */
import { isObject, type Json, type JsonObject, type Resource } from '../fhir/index.js'
import type { Caller } from './caller.js'
import { higher, isLevel, type Level } from './confidentiality.js'
import { type LabelRules, labelRules } from './label-rules.js'
import { labelsOf } from './labels.js'
import { isUnlimited } from './reach.js'

export const sensitivitySystem = 'http://terminology.hl7.org/CodeSystem/v3-ActCode'
export const confidentialitySystem = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality'

/**
 * On a label of the server: which rule of which version. Clients cannot write it.
 *
 * https://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition-extension-sec-label-basis.html
 */
export const labelBasisUrl = 'http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis'
export const labelRulesSystem = 'https://hospitallink.example/fhir/CodeSystem/label-rules'

/** The resource as it is to be stored. `before` is what it replaces. */
export function labelled(
  caller: Caller,
  resource: Resource,
  before: Resource | undefined,
  rules: LabelRules = labelRules,
): Resource {
  const given = securityOf(resource)
  const { labels, reasons } = labelsOf(resource, rules)
  const kept = before && !isUnlimited(caller) ? securityOf(before) : none
  if (labels.length === 0 && kept.length === 0 && !given.some(isOurs)) return resource
  const stay = kept.filter((label) => isObject(label) && (isSensitivity(label, rules) || levelOf(label)))
  const own = labels.map((code): JsonObject => {
    const basis = reasons.find(({ label }) => label === code)!.rule
    return { extension: [basisOf(basis, rules)], system: sensitivitySystem, code }
  })
  // The server's own come first, so that a label has its reason; then what was there, then what the client says.
  const theirs = given.filter((label) => !isOurs(label))
  const sensitivities = distinct([...own, ...stay, ...theirs].filter((label) => levelOf(label) === undefined))
  const level = [...labels.map((label) => rules.levelOf.get(label)), ...[...stay, ...theirs].map(levelOf)].reduce(
    higher,
    undefined,
  )
  return withSecurity(resource, [...sensitivities, ...levelLabels(level, { stay, theirs, labels, rules })])
}

/** One level, the highest; with the basis where no client said so. */
function levelLabels(
  level: Level | undefined,
  { stay, theirs, labels, rules }: { stay: Json[]; theirs: Json[]; labels: string[]; rules: LabelRules },
): Json[] {
  if (level === undefined) return []
  const said = [...theirs, ...stay].find((label) => levelOf(label) === level)
  if (said !== undefined) return [said]
  const basis = labels.find((label) => rules.levelOf.get(label) === level)!
  return [{ extension: [basisOf(basis, rules)], system: confidentialitySystem, code: level }]
}

const none: Json[] = []

const basisOf = (code: string, { version }: LabelRules): JsonObject => ({
  url: labelBasisUrl,
  valueCoding: { system: labelRulesSystem, version, code },
})

function securityOf({ meta }: JsonObject): Json[] {
  const security = isObject(meta) ? meta['security'] : undefined
  return Array.isArray(security) ? security : none
}

const isOurs = (label: Json): boolean =>
  isObject(label) &&
  Array.isArray(label['extension']) &&
  label['extension'].some((extension) => {
    if (!isObject(extension) || extension['url'] !== labelBasisUrl) return false
    const { valueCoding } = extension
    return isObject(valueCoding) && valueCoding['system'] === labelRulesSystem
  })

const isSensitivity = (label: JsonObject, { kept }: LabelRules): boolean => {
  const { system, code } = label
  return system === sensitivitySystem && typeof code === 'string' && kept.has(code)
}

function levelOf(label: Json): Level | undefined {
  if (!isObject(label) || label['system'] !== confidentialitySystem) return undefined
  const { code } = label
  return isLevel(code) ? code : undefined
}

/** Of labels with the same code the first; what is no Coding with a code stays as it is. */
function distinct(labels: Json[]): Json[] {
  const seen = new Set<string>()
  return labels.filter((label) => {
    if (!isObject(label) || typeof label['code'] !== 'string') return true
    const { system, code } = label
    const key = `${typeof system === 'string' ? system : ''}|${code}`
    return seen.has(key) ? false : seen.add(key)
  })
}

function withSecurity(resource: Resource, security: Json[]): Resource {
  const { meta } = resource
  const { security: _, ...others } = isObject(meta) ? meta : ({} as JsonObject)
  const own: JsonObject = { ...others, ...(security.length && { security }) }
  if (Object.keys(own).length) return { ...resource, meta: own }
  const { meta: __, ...rest } = resource
  return rest as Resource
}
