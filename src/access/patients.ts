/**
 * Whose a resource is, by the definitions: which parameters of a type say which patient it is about.
 *
 * https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
import { compartments, type ElementType, isResourceType, standardSearchParams, typeDefinition } from '../fhir/index.js'
import { compartment, type Expression, nothing, or, securityContextParam } from '../search/index.js'

/**
 * The parameters by which a resource of a type is about a patient: `patient` where the type has it, or what makes it a
 * member of the compartment. None for Patient itself, and for types that cannot tell.
 */
export function patientParams(type: string): readonly string[] {
  let params = known.get(type)
  if (!params) {
    params = derived(type)
    if (isResourceType(type)) known.set(type, params)
  }
  return params
}

const known = new Map<string, readonly string[]>()

function derived(type: string): string[] {
  if (type === 'Patient') return []
  const toPatient = standardSearchParams.filter(
    ({ base, target, type: kind }) => kind === 'reference' && base.includes(type) && target?.includes('Patient'),
  )
  if (toPatient.some(({ code }) => code === 'patient')) return ['patient']
  const member = Object.hasOwn(compartments['Patient']!, type) ? compartments['Patient']![type]! : []
  return member.filter((code) => toPatient.some((param) => param.code === code))
}

/** Whether no element of the type can refer to a patient, as in Practitioner, Organization, Location or Medication. */
export function hasNoPatient(type: string): boolean {
  let answer = patientless.get(type)
  if (answer === undefined) {
    answer = isResourceType(type) && type !== 'Patient' && !canReferToPatient(type, new Set())
    if (isResourceType(type)) patientless.set(type, answer)
  }
  return answer
}

const patientless = new Map<string, boolean>()

const passedOver = new Set(['Extension', 'Meta', 'Narrative', 'Resource'])

function canReferToPatient(type: string, seen: Set<string>): boolean {
  if (seen.has(type)) return false
  seen.add(type)
  return (typeDefinition(type)?.elements ?? []).some(({ types }) =>
    types.some(({ code, targets }: ElementType) =>
      code === 'Reference'
        ? targets === undefined || targets.includes('Patient') || targets.includes('Resource')
        : !passedOver.has(code) && canReferToPatient(code, seen),
    ),
  )
}

/** A resource of the type is in the record of the patient; Patient.link is not followed. */
export function inRecordOf(patient: string, type: string): Expression {
  const target = { type: 'Patient', id: patient }
  if (type === 'Patient') return { op: 'ids', ids: [patient] }
  if (type === 'Binary')
    return or(
      { op: 'reference', param: securityContextParam, target },
      {
        op: 'chain',
        param: securityContextParam,
        types: ['DocumentReference'],
        of: { op: 'reference', param: 'patient', target },
      },
    )
  if (Object.hasOwn(compartments['Patient']!, type)) return compartment(target, type)
  return or(...patientParams(type).map((param): Expression => ({ op: 'reference', param, target })))
}

/** A resource of the type is about a patient who satisfies the expression. */
export function aboutPatient(type: string, where: Expression): Expression {
  if (where.op === 'nothing') return nothing
  if (type === 'Patient') return where
  const to = (param: string): Expression => ({ op: 'chain', param, types: ['Patient'], of: where })
  if (type === 'Binary')
    return or(to(securityContextParam), {
      op: 'chain',
      param: securityContextParam,
      types: ['DocumentReference'],
      of: to('patient'),
    })
  return or(...patientParams(type).map(to))
}
