/**
 * A Bundle posted to the base: a batch or a transaction.
 *
 * https://hl7.org/fhir/R4/http.html#transaction
 */
import { conflict, invalid, type Json, type Resource, tooLarge, unsupported, writeJson } from '../fhir/index.js'
import type { Claim } from '../store/index.js'
import type { Prefer } from './answer.js'
import { audited } from './audited.js'
import { batch } from './batch.js'
import type { BatchResponse, BundleAnswer, Context, Dispatch } from './context.js'
import { entryEvent } from './entry.js'
import { keptMs, once } from './once.js'
import { transaction } from './transaction.js'

export type BundleOptions = {
  /** What the entries of the response carry; `minimal` unless asked otherwise. */
  prefer?: Prefer
  idempotencyKey?: string
}

/** `dispatch` answers the entries that are reads, searches and operations. Each entry that is carried out leaves its event. */
export const bundle = audited<[Resource, Dispatch, BundleOptions?], BundleAnswer>(
  {
    asked: (_context, { type, entry }) =>
      entryEvent(type === 'transaction' ? 'transaction' : 'batch', Array.isArray(entry) ? entry : []),
    answered: () => undefined,
  },
  process,
)

async function process(
  context: Context,
  resource: Resource,
  dispatch: Dispatch,
  { prefer = 'minimal', idempotencyKey }: BundleOptions = {},
): Promise<BundleAnswer> {
  const { resourceType, type } = resource
  if (resourceType !== 'Bundle') throw invalid('a Bundle is posted to the base; other resources go to /Type')
  const entries = entriesOf(context, resource)
  switch (type) {
    case 'batch': {
      const options = { prefer, ...(idempotencyKey !== undefined && { idempotencyKey }) }
      return { type: 'batch-response', entries: await batch(context, entries, dispatch, options) }
    }
    case 'transaction': {
      const run = (claims: Claim[]) => transaction(context, entries, dispatch, { prefer, claims })
      const content = () => [prefer, writeJson(resource)]
      const responses =
        idempotencyKey === undefined ? await run([]) : await runOnce(context, { key: idempotencyKey, content }, run)
      return { type: 'transaction-response', entries: responses }
    }
    default:
      throw unsupported(
        'Bundle.type is batch or transaction here; to store a Bundle, POST it to /Bundle',
        'Bundle.type',
      )
  }
}

function entriesOf({ settings }: Context, { entry = [] }: Resource): Json[] {
  if (!Array.isArray(entry)) throw invalid('Bundle.entry is a list', 'Bundle.entry')
  if (entry.length > settings.bundleEntriesMax)
    throw tooLarge(`a Bundle has at most ${settings.bundleEntriesMax} entries here; send it in parts`, 'Bundle.entry')
  return entry
}

/**
 * The claim is committed with the transaction; its answer is known only afterwards and is kept beside it. Where the
 * server died between the two, the repetition is told so: nothing is done twice.
 */
function runOnce(
  context: Context,
  request: { key: string; content: () => string[] },
  run: (claims: Claim[]) => Promise<BatchResponse[]>,
): Promise<BatchResponse[]> {
  const { secrets } = context.store
  return once(
    context,
    request,
    async (claim) => {
      const place = `answer:${context.newId()}`
      const responses = await run(claim(place))
      const kept = responses.map(({ body, ...response }) => ({
        ...response,
        ...(body && { body: body.toString('base64') }),
      }))
      await secrets.put(place, JSON.stringify(kept), context.clock() + keptMs)
      return responses
    },
    async (place) => {
      const kept = await secrets.get(String(place))
      if (kept === undefined)
        throw conflict('the transaction with this Idempotency-Key was carried out, but its answer was not kept')
      return (JSON.parse(kept) as (Omit<BatchResponse, 'body'> & { body?: string })[]).map(({ body, ...response }) => ({
        ...response,
        ...(body !== undefined && { body: Buffer.from(body, 'base64') }),
      }))
    },
  )
}
