/**
 * FHIR update interaction: the whole new content of a resource, which is created if it is not there.
 *
 * https://hl7.org/fhir/R4/http.html#update
 */
import { reach } from '../access/index.js'
import { invalid, isId, type Ref, type Resource } from '../fhir/index.js'
import { admit } from './admit.js'
import { audited, withResource, writeEvent } from './audited.js'
import { commit, refuseChange } from './commit.js'
import type { Context, Preconditions, Written } from './context.js'
import { expectation } from './expectation.js'
import { prepare, prepareChecked } from './prepare.js'
import { retrying } from './retrying.js'

export const update = audited(
  {
    asked: (_context, ref: Ref, _resource: Resource, _preconditions?: Preconditions) => writeEvent('update', ref),
    answered: ({ stored }: Written, event) => withResource(event, stored),
  },
  updateNow,
)

async function updateNow(
  context: Context,
  ref: Ref,
  resource: Resource,
  preconditions: Preconditions = {},
): Promise<Written> {
  refuseChange(ref)
  checkIdentity(ref, resource)
  reach(context.caller, 'update', ref.type)
  const ready = prepare(context, resource, { id: ref.id, method: 'PUT' })
  return retrying(async () => {
    const { expect, raced, before } = await expectation(context, 'update', ref, preconditions)
    const put = before ? prepareChecked(context, resource, { id: ref.id, method: 'PUT', before }) : ready
    await admit(context, [{ act: 'update', put, ...(before && { before }) }])
    const [done] = await commit(context, {
      changes: [{ ...put, ...(expect && { expect }) }],
      retry: () => raced,
    })
    return done!
  })
}

/** @throws FhirError unless the type and id in the resource are those of the URL */
export function checkIdentity({ type, id }: Ref, resource: Resource): void {
  checkType(type, resource)
  if (!isId(id)) throw invalid('an id has 1 to 64 letters, digits, "-" and "."')
  if (resource.id === id) return
  throw invalid(
    resource.id === undefined
      ? 'the resource needs the id of the URL; to have one assigned, POST it'
      : 'the id in the resource is not the one of the URL; make them equal',
    `${type}.id`,
  )
}

/** @throws FhirError unless the type of the resource is the one of the URL */
export function checkType(type: string, resource: Resource): void {
  if (resource.resourceType !== type)
    throw invalid(
      `the URL says ${type} and the body is another type of resource; send it to its own URL`,
      'resourceType',
    )
}
