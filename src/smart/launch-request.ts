/**
 * What an EHR says when it launches an app: which one, and what is on the screen.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
 */
import { invalid, isId, isResourceType, type JsonObject, parseReference } from '../fhir/index.js'
import type { FhirContext, LaunchContext } from './token-record.js'

const contextMax = 100
const textMax = 2000

/** @throws FhirError */
export function launchOf(body: unknown): { client: string; launchContext: LaunchContext } {
  if (!isObject(body)) throw invalid('the launch must be a JSON object')
  const { client_id: client, fhirContext, need_patient_banner: banner } = body
  if (typeof client !== 'string') throw invalid('client_id must be a text')
  if (banner !== undefined && typeof banner !== 'boolean') throw invalid('need_patient_banner must be true or false')
  const [patient, encounter] = [idOf(body, 'patient'), idOf(body, 'encounter')]
  const [intent, style] = [textOf(body, 'intent'), textOf(body, 'smart_style_url')]
  if (style !== undefined && !/^https?:$/.test(URL.canParse(style) ? new URL(style).protocol : ''))
    throw invalid('smart_style_url must be a URL')
  return {
    client,
    launchContext: {
      ...(patient !== undefined && { patient }),
      ...(encounter !== undefined && { encounter }),
      ...(fhirContext !== undefined && { fhirContext: fhirContextOf(fhirContext) }),
      ...(banner !== undefined && { need_patient_banner: banner }),
      ...(intent !== undefined && { intent }),
      ...(style !== undefined && { smart_style_url: style }),
    },
  }
}

function idOf(body: JsonObject, name: string): string | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !isId(value)) throw invalid(`${name} must be an id`)
  return value
}

function textOf(body: JsonObject, name: string): string | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '' || value.length > textMax) throw invalid(`${name} must be a text`)
  return value
}

/** https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhircontext */
function fhirContextOf(value: unknown): FhirContext[] {
  if (!Array.isArray(value) || value.length > contextMax) throw invalid('fhirContext must be a list of objects')
  return value.map((each: unknown) => {
    if (!isObject(each)) throw invalid('fhirContext must be a list of objects')
    const [reference, canonical, type, role] = ['reference', 'canonical', 'type', 'role'].map((name) =>
      textOf(each, name),
    )
    const { identifier } = each
    if (reference === undefined && canonical === undefined && identifier === undefined)
      throw invalid('a fhirContext has a reference, a canonical or an identifier')
    const parsed = reference === undefined ? undefined : parseReference(reference)
    if (reference !== undefined && (!parsed || parsed.base !== undefined))
      throw invalid('a reference of fhirContext is relative, such as ImagingStudy/123')
    if (type !== undefined && !isResourceType(type)) throw invalid('type is a FHIR resource type')
    if (identifier !== undefined && !isObject(identifier)) throw invalid('identifier must be an Identifier')
    // Patient and Encounter of the launch have members of their own.
    if ((role === undefined || role === 'launch') && (parsed?.type === 'Patient' || parsed?.type === 'Encounter'))
      throw invalid('a Patient or Encounter in fhirContext has a role other than launch')
    return {
      ...(reference !== undefined && { reference }),
      ...(canonical !== undefined && { canonical }),
      ...(identifier !== undefined && { identifier: identifier as NonNullable<FhirContext['identifier']> }),
      ...(type !== undefined && { type }),
      ...(role !== undefined && { role }),
    }
  })
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
