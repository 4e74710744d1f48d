/**
 * FHIR batch interaction: requests that have nothing to do with each other, each with its own outcome.
 *
 * https://hl7.org/fhir/R4/http.html#brules
 *
 * Carried out in the order of a transaction's steps; within a step several at a time, so that they share commits.
 */

import type { Json } from '../fhir/index.js'
import { FhirError } from '../fhir/index.js'
import { broken, failed, type Prefer, written } from './answer.js'
import { refused, refusedTogether } from './audited.js'
import { breather, inWindows } from './breathe.js'
import { conditionalUpdate } from './conditional-update.js'
import type { BatchResponse, Context, Dispatch } from './context.js'
import { create } from './create.js'
import { conditionalDelete, remove } from './delete.js'
import { atEntry, type Entry, entryEvent, type Method, patchOf, readEntry } from './entry.js'
import { conditionalPatch, patch } from './patch.js'
import { update } from './update.js'

/** https://hl7.org/fhir/R4/http.html#trules: the order in which the entries take effect. */
export const steps: Method[][] = [['DELETE'], ['POST'], ['PUT', 'PATCH'], ['GET', 'HEAD']]

const width = 32

export async function batch(
  context: Context,
  entries: readonly Json[],
  dispatch: Dispatch,
  { prefer, idempotencyKey }: { prefer: Prefer; idempotencyKey?: string },
): Promise<BatchResponse[]> {
  const responses: BatchResponse[] = new Array(entries.length)
  const breathe = breather()
  const guarded = async (index: number, task: () => Promise<BatchResponse> | BatchResponse) => {
    try {
      return await task()
    } catch (error) {
      await refused(context, entryEvent('batch', [entries[index]!]), error)
      const placed = atEntry(error, index)
      if (placed instanceof FhirError) return failed(placed)
      context.report?.(placed)
      return broken()
    }
  }
  const readable: Entry[] = []
  const unreadable: [Json, FhirError][] = []
  for (const [index, json] of entries.entries()) {
    await breathe()
    try {
      readable.push(readEntry(context, json, index))
    } catch (error) {
      const placed = atEntry(error, index)
      if (placed instanceof FhirError) unreadable.push([json, placed])
      else context.report?.(placed)
      responses[index] = placed instanceof FhirError ? failed(placed) : broken()
    }
  }
  await refusedTogether(
    context,
    unreadable.map(([json, error]) => [entryEvent('batch', [json]), error]),
  )
  for (const step of steps)
    await inWindows(
      readable.filter(({ method }) => step.includes(method)),
      width,
      async (entry) => {
        await breathe()
        const preconditions = {
          ...entry.preconditions,
          ...(idempotencyKey !== undefined && { idempotencyKey: `${idempotencyKey}#${entry.index}` }),
        }
        responses[entry.index] = await guarded(entry.index, () =>
          perform(context, { ...entry, preconditions }, dispatch, prefer),
        )
      },
    )
  return responses
}

async function perform(context: Context, entry: Entry, dispatch: Dispatch, prefer: Prefer): Promise<BatchResponse> {
  const { method, target, preconditions } = entry
  const resource = entry.resource!
  if (target.kind === 'other') return dispatch(requestOf(entry, prefer))
  const answer = (done: Parameters<typeof written>[0]) => written(done, prefer, context.baseUrls[0]!)
  switch (target.kind) {
    case 'type':
      return answer(await create(context, resource, preconditions))
    case 'instance': {
      const ref = { type: target.type, id: target.id }
      if (method === 'PUT') return answer(await update(context, ref, resource, preconditions))
      if (method === 'PATCH') return answer(await patch(context, ref, patchOf(resource), preconditions))
      return answer(await remove(context, ref, preconditions))
    }
    case 'criteria': {
      const { type, criteria } = target
      if (method === 'PUT') return answer(await conditionalUpdate(context, type, criteria, resource, preconditions))
      if (method === 'PATCH')
        return answer(await conditionalPatch(context, type, criteria, patchOf(resource), preconditions))
      const { ifMatch } = preconditions
      const gone = await conditionalDelete(context, type, criteria, {
        multiple: true,
        ...(ifMatch !== undefined && { ifMatch }),
      })
      return gone.length === 1 ? answer(gone[0]!) : { status: 204 }
    }
  }
}

/** An entry as the HTTP layer answers it. */
export function requestOf(
  { method, url, resource, preconditions, ifModifiedSince }: Entry,
  prefer: Prefer,
): Parameters<Dispatch>[0] {
  const { ifNoneMatch } = preconditions
  return {
    method,
    url,
    ...(resource && { resource }),
    preconditions,
    ...(ifNoneMatch !== undefined && { ifNoneMatch }),
    ...(ifModifiedSince !== undefined && { ifModifiedSince }),
    prefer: `return=${prefer}`,
  }
}
