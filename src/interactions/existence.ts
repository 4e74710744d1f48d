/**
 * Whether resources are there and referred to, for what is validated and not written: an answer of yes and no.
 *
 * https://hl7.org/fhir/R4/resource-operation-validate.html
 */
import { reach } from '../access/index.js'
import { type Ref, resourceTypes } from '../fhir/index.js'
import { type Expression, or } from '../search/index.js'
import { audited, type Event } from './audited.js'
import type { Context } from './context.js'

/** Those that are not there, as far as the caller sees. */
export const absent = audited({ asked: (_context, refs: readonly Ref[]) => validateEvent(refs) }, absentNow)

/** Whether anything refers to the resource by a search parameter, so that it could not be deleted. */
export const isReferred = audited({ asked: (_context, ref: Ref) => validateEvent([ref]) }, isReferredNow)

const namedMax = 50

const validateEvent = (refs: readonly Ref[]): Event | undefined =>
  refs.length === 0
    ? undefined
    : {
        what: 'operation',
        operation: 'validate',
        data: [...new Set(refs.map(({ type, id }) => `${type}/${id}`))].slice(0, namedMax),
      }

async function absentNow({ caller, store }: Context, refs: readonly Ref[]): Promise<ReadonlySet<Ref>> {
  const mine = reach(caller, 'read')
  const missing = new Set<Ref>()
  for (const ref of refs) {
    const target = await store.read({ type: ref.type, id: ref.id }, mine)
    if (!target || target.deleted) missing.add(ref)
  }
  return missing
}

async function isReferredNow({ caller, store, searchParams }: Context, ref: Ref): Promise<boolean> {
  const of: Record<string, Expression> = {}
  for (const type of resourceTypes) {
    const params = searchParams
      .of(type)
      .filter((param) => param.type === 'reference' && (!param.target || param.target.includes(ref.type)))
    if (params.length && !holdsNobodyBack.has(type))
      of[type] = or(...params.map(({ code }): Expression => ({ op: 'reference', param: code, target: ref })))
  }
  const where: Expression = { op: 'typed', of }
  const query = { types: Object.keys(of), where, sort: [], include: [], count: 1, total: false }
  const { matches } = await store.search(query, reach(caller, 'search'))
  return matches.length > 0
}

/** Records of what happened stay true when what they tell of is gone. */
const holdsNobodyBack = new Set(['AuditEvent', 'Provenance'])
