/**
 * FHIR patch interaction: a JSON Patch or FHIRPath Patch applied to the current version; also conditional.
 *
 * https://hl7.org/fhir/R4/http.html#patch
 *
 * Without If-Match a patch is run again on the version that overtook it, so that of many patches none is lost.
 */
import { reach } from '../access/index.js'
import {
  applyFhirPathPatch,
  applyJsonPatch,
  deleted,
  invalid,
  notFound,
  parseJson,
  type Ref,
  type Resource,
  stale,
} from '../fhir/index.js'
import type { Condition, Stored } from '../store/index.js'
import { admit } from './admit.js'
import { audited, withResource, writeEvent } from './audited.js'
import { commit, refuseChange } from './commit.js'
import type { Context, PatchBody, Preconditions, Written } from './context.js'
import { criteriaEvent, matches, theOne } from './criteria.js'
import { versionsIn } from './etag.js'
import { refuseIfSeen } from './expectation.js'
import { inTurn } from './in-turn.js'
import { prepare } from './prepare.js'
import { retrying } from './retrying.js'

export const patch = audited(
  {
    asked: (_context, ref: Ref, _body: PatchBody, _preconditions?: Preconditions) => writeEvent('patch', ref),
    answered: ({ stored }: Written, event) => withResource(event, stored),
  },
  patchInTurn,
)

async function patchInTurn(
  context: Context,
  ref: Ref,
  body: PatchBody,
  preconditions: Preconditions = {},
): Promise<Written> {
  refuseChange(ref)
  return inTurn(context.store, `${ref.type}/${ref.id}`, () =>
    retrying(() => patchNow(context, ref, body, preconditions)),
  )
}

export const conditionalPatch = audited(
  {
    asked: (context, type: string, criteria: string, _body: PatchBody, _preconditions?: Preconditions) =>
      criteriaEvent(context, 'patch', type, criteria),
    answered: ({ stored }: Written, event) => withResource(event, stored),
  },
  conditionalPatchInTurn,
)

async function conditionalPatchInTurn(
  context: Context,
  type: string,
  criteria: string,
  body: PatchBody,
  preconditions: Preconditions = {},
): Promise<Written> {
  refuseChange({ type })
  return inTurn(context.store, `${type}?${criteria}`, () =>
    retrying(async () => {
      const { found, condition } = await matches(context, type, criteria)
      const existing = theOne(type, found)
      if (!existing) throw notFound(`no ${type} matches the criteria`)
      return patchNow(context, { type, id: existing.id }, body, preconditions, [condition])
    }),
  )
}

async function patchNow(
  context: Context,
  ref: Ref,
  body: PatchBody,
  preconditions: Preconditions,
  conditions: Condition[] = [],
): Promise<Written> {
  const current = await patchable(context, ref, preconditions)
  const before = parseJson(current.body) as Resource
  const put = prepare(context, patched(current, body), {
    id: ref.id,
    method: 'PATCH',
    expect: { version: current.version },
    before,
  })
  await admit(context, [{ act: 'update', put, before }])
  const [done] = await commit(context, {
    changes: [put],
    conditions,
    retry: () => preconditions.ifMatch === undefined,
  })
  return done!
}

/** The version a patch applies to. */
export async function patchable(
  context: Context,
  { type, id }: Ref,
  { ifMatch, ifNoneMatch }: Preconditions,
): Promise<Stored> {
  const current = await context.store.read({ type, id }, reach(context.caller, 'update', type))
  if (!current) {
    await refuseIfSeen(context, 'update', { type, id })
    throw notFound(`there is no ${type} with this id`)
  }
  if (current.deleted) throw deleted(`this ${type} was deleted; PUT it to bring it back`)
  const names = (header: string) => {
    const versions = versionsIn(header)
    return versions === '*' || versions.includes(current.version)
  }
  if (ifMatch !== undefined && !names(ifMatch))
    throw stale(`this ${type} is at version ${current.version} now; read it again before changing it`)
  if (ifNoneMatch !== undefined && names(ifNoneMatch))
    throw stale(`If-None-Match names the current version of this ${type}`)
  return current
}

/** The resource as the patch leaves it; its type and id are not to be changed by a patch. */
export function patched({ type, id, body: bytes }: Stored, body: PatchBody): Resource {
  const before = parseJson(bytes) as Resource
  const after =
    body.kind === 'json' ? applyJsonPatch(before, body.operations) : applyFhirPathPatch(before, body.parameters)
  if (after['resourceType'] !== type) throw invalid('a patch cannot change the type of a resource', 'resourceType')
  if (after['id'] !== id) throw invalid('a patch cannot change the id of a resource', `${type}.id`)
  return after
}
