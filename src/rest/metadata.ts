/**
 * Answer of the capabilities interaction. The statement is written once for each set of search parameters in force.
 *
 * https://hl7.org/fhir/R4/http.html#capabilities
 */
import { createHash } from 'node:crypto'
import { invalid, type Resource, writeJson } from '../fhir/index.js'
import { capabilities, isSubset, type Subset, subsetOf } from '../interactions/index.js'
import type { SearchParams } from '../search/index.js'
import type { Answer } from './answer.js'
import type { Exchange } from './exchange.js'
import { subsetOfParameters } from './instance.js'
import { formats, patchFormats } from './negotiate.js'
import type { Service } from './service.js'

type Mode = 'full' | 'normative' | 'terminology'

const modes: readonly Mode[] = ['full', 'normative', 'terminology']

type Written = { body: Buffer; etag: string }

/** Of each endpoint, since tenants share the standard's search parameters and nothing else. */
const statements = new WeakMap<Service, { searchParams: SearchParams; written: Partial<Record<Mode, Written>> }>()

export async function answerCapabilities(exchange: Exchange): Promise<Answer> {
  const { mode, subset } = asked(exchange)
  // A part is made for each who asks; nobody does so often.
  const { body, etag } = isSubset(subset)
    ? write(subsetOf(statementOf(exchange, mode), subset))
    : writtenOnce(exchange, mode)
  const known = exchange.source.kind === 'http' ? exchange.source.request.headers['if-none-match'] : undefined
  const headers = { ETag: etag }
  return known?.split(',').some((tag) => tag.trim() === etag)
    ? { status: 304, headers }
    : { status: 200, body, headers }
}

function writtenOnce(exchange: Exchange, mode: Mode): Written {
  const { context, service } = exchange
  const { searchParams } = context
  const before = statements.get(service)
  const written = before?.searchParams === searchParams ? before.written : {}
  const known = written[mode]
  if (known) return known
  const made = write(statementOf(exchange, mode))
  statements.set(service, { searchParams, written: { ...written, [mode]: made } })
  return made
}

function asked(exchange: Exchange): { mode: Mode; subset: Subset } {
  let mode: Mode = 'full'
  const subset = subsetOfParameters(exchange, (name, value) => {
    if (name !== 'mode') return false
    const found = modes.find((each) => each === value)
    if (!found) throw invalid(`mode is one of ${modes.join(', ')}`, name)
    mode = found
    return true
  })
  return { mode, subset }
}

/** All that we offer is normative or stands on what is, so the two modes are told the same. */
function statementOf({ context, service }: Exchange, mode: Mode): Resource {
  const { software, started, operations, security } = service
  if (mode !== 'terminology')
    return capabilities(context, {
      software,
      date: started,
      formats,
      patchFormats,
      operations,
      ...(security && { security }),
    })
  return {
    resourceType: 'TerminologyCapabilities',
    status: 'active',
    date: started,
    kind: 'instance',
    software: { ...software },
    implementation: { description: `${software.name} at ${context.baseUrls[0]}`, url: context.baseUrls[0]! },
  }
}

function write(resource: Resource): Written {
  const body = Buffer.from(writeJson(resource))
  return { body, etag: `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 16)}"` }
}
