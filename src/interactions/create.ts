/**
 * FHIR create interaction: a new resource under an id of ours, also conditional and protected against repetition.
 *
 * https://hl7.org/fhir/R4/http.html#create
 *
 * An id, versionId or lastUpdated in the resource is ignored, as the specification demands.
 */
import { reach } from '../access/index.js'
import type { Resource } from '../fhir/index.js'
import type { Claim, Put } from '../store/index.js'
import { admit } from './admit.js'
import { auditCreate } from './audit-create.js'
import { audited, withResource, writeEvent } from './audited.js'
import { commit } from './commit.js'
import type { Context, Preconditions, Written } from './context.js'
import { matches, theOne } from './criteria.js'
import { inTurn } from './in-turn.js'
import { once } from './once.js'
import { prepare } from './prepare.js'
import { retrying } from './retrying.js'
import { versionOf } from './vread.js'

export const create = audited(
  {
    asked: (_context, { resourceType }: Resource, _preconditions?: Preconditions) =>
      writeEvent('create', { type: resourceType }),
    answered: ({ stored }: Written, event) => withResource(event, stored),
  },
  createOnce,
)

async function createOnce(context: Context, resource: Resource, preconditions: Preconditions = {}): Promise<Written> {
  if (resource.resourceType === 'AuditEvent') return auditCreate(context, resource, preconditions)
  const { ifNoneExist, idempotencyKey } = preconditions
  reach(context.caller, 'create', resource.resourceType)
  const put = prepare(context, resource, { id: context.newId(), method: 'POST', expect: { exists: false } })
  await admit(context, [{ act: 'create', put }])
  return once(
    context,
    { key: idempotencyKey, content: () => ['create', put.type, ifNoneExist ?? '', put.serialized.tail] },
    (claim) =>
      ifNoneExist === undefined
        ? createNow(context, put, claim(answerOf('created', put.id, 1)))
        : inTurn(context.store, `${put.type}?${ifNoneExist}`, () =>
            retrying(() => createIfNoneExists(context, put, ifNoneExist, claim)),
          ),
    (answer) => repeated(context, put.type, answer as Answer),
  )
}

async function createNow(context: Context, put: Put, claims: Claim[]): Promise<Written> {
  const [done] = await commit(context, { changes: [put], claims })
  return done!
}

async function createIfNoneExists(
  context: Context,
  put: Put,
  criteria: string,
  claim: (answer: Answer) => Claim[],
): Promise<Written> {
  const { found, condition } = await matches(context, put.type, criteria)
  const existing = theOne(put.type, found)
  if (!existing) {
    const claims = claim(answerOf('created', put.id, 1))
    const [done] = await commit(context, { changes: [put], conditions: [condition], claims })
    return done!
  }
  const claims = claim(answerOf('unchanged', existing.id, existing.version))
  if (claims.length) await commit(context, { changes: [], claims })
  return { outcome: 'unchanged', stored: existing }
}

type Answer = { outcome: 'created' | 'unchanged'; id: string; version: number }
const answerOf = (outcome: Answer['outcome'], id: string, version: number): Answer => ({ outcome, id, version })

async function repeated(context: Context, type: string, { outcome, id, version }: Answer): Promise<Written> {
  return { outcome, stored: await versionOf(context, { type, id }, String(version)) }
}
