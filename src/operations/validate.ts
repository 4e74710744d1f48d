/**
 * $validate: whether a resource is valid, or would be accepted as a create, an update or a delete.
 *
 * https://hl7.org/fhir/R4/resource-operation-validate.html
 *
 * The answer is an OperationOutcome with 200 whether the resource is valid or not; another status means that nothing
 * is known about it.
 */
import {
  type Issue,
  invalid,
  localReference,
  operationOutcome,
  parseJson,
  type Ref,
  type Resource,
  referencesIn,
} from '../fhir/index.js'
import { absent, type Context, isReferred, read } from '../interactions/index.js'
import { validate as validateResource } from '../validation/index.js'
import { argumentsOf, namesIn, parameter, resourceOf, textOf } from './arguments.js'
import type { Operation, OperationCall } from './operation.js'

const modes = ['create', 'update', 'delete']

export const validate: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/Resource-validate',
  code: 'validate',
  system: false,
  type: true,
  instance: true,
  affectsState: false,
  async run(context, call) {
    const issues = await issuesOf(context, unwrapped(call))
    const clear: Issue = { severity: 'information', code: 'informational', diagnostics: 'no problem was found' }
    return { kind: 'resource', resource: operationOutcome(issues.length ? issues : [clear]) as Resource }
  },
}

/** A Parameters resource carries the arguments, unless it is itself what shall be validated. */
function unwrapped(call: OperationCall): OperationCall {
  const { input, type } = call
  if (input?.resourceType !== 'Parameters' || type !== 'Parameters') return call
  return namesIn(call).includes('resource') ? call : { ...call, input: parameter('resource', input) }
}

async function issuesOf(context: Context, call: OperationCall): Promise<Issue[]> {
  const given = argumentsOf(call, { definition: validate.definition })
  const mode = textOf(given, 'mode')
  if (mode !== undefined && !modes.includes(mode)) throw invalid(`mode is one of ${modes.join(', ')}`, 'mode')
  if (call.id === undefined && (mode === 'update' || mode === 'delete'))
    throw invalid(`the mode ${mode} is for one resource; call Type/id/$validate`, 'mode')
  if (mode === 'delete') return deletable(context, { type: call.type!, id: call.id! })
  const resource = resourceOf(call, given, 'resource') ?? (await stored(context, call, mode))
  const profile = textOf(given, 'profile')
  const asked = profile === undefined ? {} : { profiles: [profile] }
  const found = await validateResource(resource, { invariants: true })
  return [
    ...found,
    ...(isSound(found) ? await context.profiles.issues(resource, { ...asked, claimed: true }) : unchecked(profile)),
    ...(mode === undefined ? [] : identity(resource, call, mode)),
    ...(mode === undefined || !context.settings.integrity ? [] : await dangling(context, resource)),
  ]
}

/** Without a resource in the request, an instance is validated as it is stored. */
async function stored(context: Context, { type, id }: OperationCall, mode: string | undefined): Promise<Resource> {
  if (id === undefined || mode !== undefined)
    throw invalid('send the resource to validate, as the body or as the parameter "resource"', 'resource')
  return parseJson((await read(context, { type: type!, id })).body) as Resource
}

/** What profiles ask can be told only where the structure is sound. */
const isSound = (issues: readonly Issue[]): boolean =>
  issues.every(({ severity, code }) => severity !== 'error' || code === 'code-invalid' || code === 'invariant')

function unchecked(profile: string | undefined): Issue[] {
  if (profile === undefined) return []
  const diagnostics = 'the profile was not applied; mend the structure first'
  return [{ severity: 'information', code: 'incomplete', diagnostics }]
}

/** What create and update demand of the type and id in the body. */
function identity({ resourceType, id }: Resource, call: OperationCall, mode: string): Issue[] {
  const issues: Issue[] = []
  if (resourceType !== call.type) {
    const diagnostics = `the URL says ${call.type}, the body is another type of resource`
    issues.push({ severity: 'error', code: 'invalid', diagnostics, expression: ['resourceType'] })
  }
  if (mode === 'update' && id !== call.id) {
    const diagnostics = 'an update needs the id of the URL in the resource'
    issues.push({ severity: 'error', code: 'invalid', diagnostics, expression: [`${resourceType}.id`] })
  }
  return issues
}

/** References to resources of ours that are not there. */
async function dangling(context: Context, resource: Resource): Promise<Issue[]> {
  const local = [...referencesIn(resource)].flatMap(({ path, reference }) => {
    const ref = localReference(reference, context.baseUrls)
    return ref ? [{ path, ref: { type: ref.type, id: ref.id } }] : []
  })
  const missing = await absent(
    context,
    local.map(({ ref }) => ref),
  )
  const diagnostics = 'the reference is to a resource that is not there'
  return local
    .filter(({ ref }) => missing.has(ref))
    .map(({ path }) => ({
      severity: 'error',
      code: 'not-found',
      diagnostics,
      expression: [`${resource.resourceType}.${path}`],
    }))
}

/** Whether anything refers to the resource by a search parameter, so that it could not be deleted. */
async function deletable(context: Context, ref: Ref): Promise<Issue[]> {
  await read(context, ref)
  if (!context.settings.integrity || !(await isReferred(context, ref))) return []
  const diagnostics = 'other resources refer to this one; delete or change them first'
  return [{ severity: 'error', code: 'conflict', diagnostics }]
}
