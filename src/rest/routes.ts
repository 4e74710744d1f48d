/**
 * The table of everything that can be asked over HTTP: the kind of place, the method, and what answers.
 *
 * https://hl7.org/fhir/R4/http.html#summary
 */
import { notAllowed } from '../fhir/index.js'
import type { Answer } from './answer.js'
import { answerBinaryCreate, answerBinaryRead, answerBinaryUpdate, answerBinaryVread } from './binary.js'
import { answerBundle } from './bundle.js'
import type { Exchange } from './exchange.js'
import { answerFormSearch, answerHistory, answerSearch } from './find.js'
import {
  answerConditionalDelete,
  answerConditionalPatch,
  answerConditionalUpdate,
  answerCreate,
  answerDelete,
  answerPatch,
  answerRead,
  answerUpdate,
  answerVread,
} from './instance.js'
import type { Place, Shape } from './locate.js'
import { answerCapabilities } from './metadata.js'
import { answerOperation } from './operation.js'

/** `interaction` is the code of https://hl7.org/fhir/R4/valueset-restful-interaction.html where it has one. */
export type Route = {
  interaction: string
  answer: (exchange: Exchange) => Promise<Answer>
  /** The answer may be in a type that is none of FHIR's. */
  native?: true
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

const readRoute: Route = { interaction: 'read', answer: answerRead }
const searchForm = (interaction: string): Route => ({ interaction, answer: answerFormSearch })

const routes: Record<Shape, Partial<Record<Method, Route>>> = {
  system: {
    GET: { interaction: 'search-system', answer: answerSearch },
    POST: { interaction: 'batch', answer: answerBundle },
  },
  metadata: { GET: { interaction: 'capabilities', answer: answerCapabilities } },
  'system-search': { POST: searchForm('search-system'), GET: { interaction: 'search-system', answer: answerSearch } },
  'system-history': { GET: { interaction: 'history-system', answer: answerHistory } },
  operation: {
    GET: { interaction: 'operation', answer: answerOperation },
    POST: { interaction: 'operation', answer: answerOperation },
  },
  type: {
    GET: { interaction: 'search-type', answer: answerSearch },
    POST: { interaction: 'create', answer: answerCreate },
    PUT: { interaction: 'update', answer: answerConditionalUpdate },
    PATCH: { interaction: 'patch', answer: answerConditionalPatch },
    DELETE: { interaction: 'delete', answer: answerConditionalDelete },
  },
  'type-search': { POST: searchForm('search-type'), GET: { interaction: 'search-type', answer: answerSearch } },
  'type-history': { GET: { interaction: 'history-type', answer: answerHistory } },
  instance: {
    GET: readRoute,
    PUT: { interaction: 'update', answer: answerUpdate },
    PATCH: { interaction: 'patch', answer: answerPatch },
    DELETE: { interaction: 'delete', answer: answerDelete },
  },
  'instance-history': { GET: { interaction: 'history-instance', answer: answerHistory } },
  version: { GET: { interaction: 'vread', answer: answerVread } },
  compartment: { GET: { interaction: 'search-compartment', answer: answerSearch } },
  'compartment-search': {
    POST: searchForm('search-compartment'),
    GET: { interaction: 'search-compartment', answer: answerSearch },
  },
}

/** Binary is content first and a resource second: https://hl7.org/fhir/R4/binary.html#rest */
const binaryRoutes: Partial<Record<Shape, Partial<Record<Method, Route>>>> = {
  type: { POST: { interaction: 'create', answer: answerBinaryCreate } },
  instance: {
    GET: { interaction: 'read', answer: answerBinaryRead, native: true },
    PUT: { interaction: 'update', answer: answerBinaryUpdate },
  },
  version: { GET: { interaction: 'vread', answer: answerBinaryVread, native: true } },
}

/**
 * The route of a request; HEAD goes where GET goes.
 *
 * @throws FhirError 405 with what is allowed
 */
export function routeOf(method: string, { shape, type }: Place): Route {
  const key = (method === 'HEAD' ? 'GET' : method) as Method
  const found = (type === 'Binary' && own(binaryRoutes[shape], key)) || own(routes[shape], key)
  if (found) return found
  const allow = allowed(shape)
  throw notAllowed(`This method has no meaning here; allowed are ${allow}`, undefined, { headers: { Allow: allow } })
}

/** A batch entry may name any method, `constructor` too. */
const own = (row: Partial<Record<Method, Route>> | undefined, key: Method): Route | undefined =>
  row && Object.hasOwn(row, key) ? row[key] : undefined

/** The methods of a place, as the Allow header writes them. */
export function allowed(shape: Shape): string {
  const methods = Object.keys(routes[shape])
  return [
    ...(methods.includes('GET') ? ['GET', 'HEAD'] : []),
    ...methods.filter((each) => each !== 'GET'),
    'OPTIONS',
  ].join(', ')
}
