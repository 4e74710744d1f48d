/**
 * Answer of the capabilities interaction. The statement is written once for each set of search parameters in force.
 *
 * https://hl7.org/fhir/R4/http.html#capabilities
 */
import { createHash } from 'node:crypto'
import { invalid, type Resource, unsupported, writeJson } from '../fhir/index.js'
import { capabilities } from '../interactions/index.js'
import type { SearchParams } from '../search/index.js'
import type { Answer } from './answer.js'
import type { Exchange } from './exchange.js'
import { formats, patchFormats } from './negotiate.js'

type Mode = 'full' | 'normative' | 'terminology'

const modes: readonly Mode[] = ['full', 'normative', 'terminology']

type Written = { body: Buffer; etag: string }

const statements = new WeakMap<SearchParams, Partial<Record<Mode, Written>>>()

export async function answerCapabilities(exchange: Exchange): Promise<Answer> {
  const { searchParams } = exchange.context
  let byMode = statements.get(searchParams)
  if (!byMode) {
    byMode = {}
    statements.set(searchParams, byMode)
  }
  const mode = modeOf(exchange)
  byMode[mode] ??= write(statementOf(exchange, mode))
  const { body, etag } = byMode[mode]
  const known = exchange.source.kind === 'http' ? exchange.source.request.headers['if-none-match'] : undefined
  const headers = { ETag: etag }
  return known?.split(',').some((tag) => tag.trim() === etag)
    ? { status: 304, headers }
    : { status: 200, body, headers }
}

function modeOf({ parameters, context }: Exchange): Mode {
  let mode: Mode = 'full'
  for (const [name, value] of parameters) {
    const found = modes.find((each) => each === value)
    if (name === 'mode') {
      if (!found) throw invalid(`mode is one of ${modes.join(', ')}`, name)
      mode = found
    } else if (context.settings.handling === 'strict')
      throw unsupported('/metadata has the parameters mode, _format and _pretty only', name)
  }
  return mode
}

/** All that we offer is normative or stands on what is, so the two modes are told the same. */
function statementOf({ context, service: { software, started, operations } }: Exchange, mode: Mode): Resource {
  if (mode !== 'terminology')
    return capabilities(context, { software, date: started, formats, patchFormats, operations })
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
