/**
 * What is refused before it comes to an interaction (a body that cannot be read, a token that is none) leaves its event
 * here; all else was recorded by the interaction.
 *
 * https://hl7.org/fhir/R4/security.html#AccessDenied
 */
import type { IncomingMessage } from 'node:http'
import { anyone, type Caller, type Interaction, isNobodys } from '../access/index.js'
import { type Event, type Origin, refused } from '../interactions/index.js'
import type { Answer } from './answer.js'
import type { Exchange } from './exchange.js'
import type { Place } from './locate.js'
import type { Route } from './routes.js'
import type { Service } from './service.js'

/** The answer of the route; a refusal that left no event yet leaves it. */
export function recorded(route: Route, exchange: Exchange): Promise<Answer> {
  const { context, place } = exchange
  if (!context.settings.audit) return route.answer(exchange)
  return route.answer(exchange).catch(async (error: unknown) => {
    await refused(context, eventOf(route.interaction, place), error)
    throw error
  })
}

/** Whoever could not be identified. */
const stranger: Caller = { ...anyone, kind: 'system', id: 'stranger', role: 'stranger', subject: 'stranger' }

/** A request that nobody could be recognised by; who brought no token at all has tried nothing. */
export async function recordStranger(
  service: Service,
  { request, origin }: { request: IncomingMessage; origin: Origin | undefined },
  { interaction, place, error }: { interaction: string; place: Place; error: unknown },
): Promise<void> {
  if (request.headers.authorization === undefined) return
  await refused(service.context(stranger, request, origin), eventOf(interaction, place), error)
}

function eventOf(interaction: string, { type, id, code, shape }: Place): Event | undefined {
  if (shape === 'metadata' || (type !== undefined && isNobodys(type))) return undefined
  const data = type === undefined ? undefined : [id === undefined ? type : `${type}/${id}`]
  return {
    what: (interaction === 'search-compartment' ? 'search-type' : interaction) as Interaction,
    ...(data && { data }),
    ...(code !== undefined && { operation: code.slice(0, 64) }),
  }
}
