/**
 * Invariants of R4 4.0.1 whose expression does not say what their text says, and what is asked in its place.
 *
 * https://hl7.org/fhir/R4/conformance-rules.html#constraints
 */
import { isObject, type Json, type JsonObject, parseReference } from '../fhir/index.js'

/**
 * Where an invariant is asked: %resource, %rootResource that contains it, and the Bundle that holds that. `large` if
 * one expression could take so long on the whole that others would wait.
 */
export type Scope = { resource: JsonObject; rootResource: JsonObject; bundle?: JsonObject; large: boolean }

type Broken = { reason: string; instead: string | ((element: Json, scope: Scope) => boolean) }

const regularExpression = 'escapes characters that need no escape, which ECMAScript regular expressions refuse'
const placeholder = "compares with the system 'something'"

/** ppc-2 to ppc-5: "IF Scope=…, there must be a patient". */
const needsPatient = (code: string): Broken => ({
  reason: placeholder,
  instead: `patient.exists() or scope.coding.where(system='http://terminology.hl7.org/CodeSystem/consentscope' and code='${code}').exists().not()`,
})

export const brokenInvariants: Record<string, Broken> = {
  'bdl-8': {
    reason: 'is empty, not true, of an entry without a fullUrl',
    instead: "fullUrl.empty() or fullUrl.contains('/_history/').not()",
  },
  'con-3': {
    reason: 'compares a CodeableConcept with a string, so that it warns of every condition that has a category',
    instead:
      "clinicalStatus.exists() or verificationStatus.coding.where(code = 'entered-in-error').exists() or category.coding.where(code = 'problem-list-item').empty()",
  },
  'ctm-1': {
    reason: 'calls resolve(), which does not see the entries of a Bundle',
    instead: onBehalfOfPractitionersOnly,
  },
  'dom-3': {
    reason:
      'applies as() to collections, which FHIRPath forbids, and searches the resource once for each contained one',
    instead: everyContainedIsReferredTo,
  },
  'dom-6': {
    reason: 'asks contained resources for a narrative too, which references.html#contained tells them not to have',
    instead: (resource, scope) => scope.resource !== scope.rootResource || hasNarrative(resource),
  },
  'eld-16': {
    reason: regularExpression,
    instead: String.raw`sliceName.empty() or sliceName.matches('^[a-zA-Z0-9/_\\[\\]@-]+$')`,
  },
  'eld-19': {
    reason: regularExpression,
    instead: String.raw`path.matches('^[^\\s.,:;\'"/|?!@#$%&*()\\[\\]{}]{1,64}(\\.[^\\s.,:;\'"/|?!@#$%&*()\\[\\]{}]{1,64}(\\[x\\])?(:[^\\s.]+)?)*$')`,
  },
  'eld-20': {
    reason: regularExpression,
    instead: String.raw`path.matches('^[A-Za-z][A-Za-z0-9]*(\\.[a-z][A-Za-z0-9]*(\\[x\\])?)*$')`,
  },
  'ppc-2': needsPatient('patient-privacy'),
  'ppc-3': needsPatient('research'),
  'ppc-4': needsPatient('adr'),
  'ppc-5': needsPatient('treatment'),
  'que-7': {
    reason: 'asks whether the answer is a System.Boolean, which no element of a resource is',
    instead: "operator = 'exists' implies (answer is boolean)",
  },
  'que-12': {
    reason: 'asks for more than two conditions where its text says more than one',
    instead: 'enableWhen.count() > 1 implies enableBehavior.exists()',
  },
  'tim-9': {
    reason: 'asks `when in` of a list, which FHIRPath forbids',
    instead: "offset.empty() or (when.exists() and when.where($this in ('C' | 'CM' | 'CD' | 'CV')).empty())",
  },
}

/** "CareTeam.participant.onBehalfOf can only be populated when CareTeam.participant.member is a Practitioner." */
function onBehalfOfPractitionersOnly(participant: Json, scope: Scope): boolean {
  if (!isObject(participant) || participant['onBehalfOf'] === undefined) return true
  const { member } = participant
  const reference = isObject(member) ? member['reference'] : undefined
  const type = typeof reference === 'string' ? targetType(reference, scope) : undefined
  return type === undefined || type === 'Practitioner'
}

/** The type of what a reference is to, if it says so, is contained or in the same Bundle. */
function targetType(reference: string, { rootResource, bundle }: Scope): Json | undefined {
  if (reference.startsWith('#'))
    return objectsIn(rootResource['contained']).find(({ id }) => reference === `#${id}`)?.['resourceType']
  const literal = parseReference(reference)
  if (literal) return literal.type
  const entry = objectsIn(bundle?.['entry']).find(({ fullUrl }) => fullUrl === reference)
  return isObject(entry?.['resource']) ? entry['resource']['resourceType'] : undefined
}

const objectsIn = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : [])

const hasNarrative = (resource: Json): boolean =>
  isObject(resource) && isObject(resource['text']) && typeof resource['text']['div'] === 'string'

/** "It SHALL be referred to from elsewhere in the resource or SHALL refer to the containing resource." */
function everyContainedIsReferredTo(resource: Json): boolean {
  if (!isObject(resource) || !Array.isArray(resource['contained'])) return true
  const fragments = fragmentsIn(resource)
  return resource['contained'].every(
    (each) => !isObject(each) || fragments.has(`#${each['id']}`) || fragmentsIn(each).has('#'),
  )
}

function fragmentsIn(value: Json, into = new Set<string>()): Set<string> {
  if (typeof value === 'string') {
    if (value.startsWith('#')) into.add(value)
  } else if (Array.isArray(value)) for (const item of value) fragmentsIn(item, into)
  else if (isObject(value)) for (const key in value) fragmentsIn(value[key]!, into)
  return into
}
