/**
 * Answers of search and history: a Bundle, with the links to itself, to the first page and to the next.
 *
 * https://hl7.org/fhir/R4/http.html#search
 * https://hl7.org/fhir/R4/http.html#history
 */
import type { Issue } from '../fhir/index.js'
import { history, type Link, search, writeBundle } from '../interactions/index.js'
import type { SearchRequest } from '../search/index.js'
import type { Answer } from './answer.js'
import { type Exchange, searchFormOf } from './exchange.js'
import type { Parameter } from './parameters.js'

/** The parameter that carries the sealed token of a page. */
const pageName = '_page'

export async function answerFormSearch(exchange: Exchange): Promise<Answer> {
  const { parameters, form } = await searchFormOf(exchange)
  return { ...(await answerSearch({ ...exchange, parameters, form })), form }
}

export async function answerSearch({ context, place, form, parameters: given }: Exchange): Promise<Answer> {
  const { page, parameters } = withoutPage(given)
  const result = await search(context, {
    ...placeOf(place),
    parameters,
    ...(page !== undefined && { page }),
  })
  const { found, parsed, next, plan = [] } = result
  const path = pathOf(place)
  return {
    status: 200,
    body: writeBundle({
      type: 'searchset',
      matches: found.matches,
      baseUrl: context.baseUrls[0]!,
      links: linksOf(context.baseUrls[0]! + path, { applied: parsed.applied, form, page, next }),
      ...(found.total !== undefined && { total: found.total }),
      issues: [...parsed.ignored, ...plan.map(told)],
      subset: {
        ...(parsed.summary !== undefined && { summary: parsed.summary }),
        ...(parsed.elements !== undefined && { elements: parsed.elements }),
      },
    }),
  }
}

/** A sentence of the plan that `_explain` asks for. */
const told = (diagnostics: string): Issue => ({ severity: 'information', code: 'informational', diagnostics })

/** `Patient/1/*` searches all types of the compartment, `Patient/1/Observation` one. */
function placeOf({ type, id, member }: Exchange['place']): Pick<SearchRequest, 'types' | 'compartment'> {
  if (type === undefined) return {}
  if (id === undefined) return { types: [type] }
  return { compartment: { type, id }, ...(member !== '*' && { types: [member!] }) }
}

function pathOf({ type, id, member }: Exchange['place']): string {
  return type === undefined
    ? ''
    : id === undefined
      ? `/${type}`
      : member === undefined
        ? `/${type}/${id}`
        : `/${type}/${id}/${member}`
}

export async function answerHistory({ context, place, parameters: given, form }: Exchange): Promise<Answer> {
  const { type, id } = place
  const { page, parameters } = withoutPage(given)
  const { found, applied, ignored, next } = await history(context, {
    ...(type !== undefined && { type }),
    ...(id !== undefined && { id }),
    parameters,
    ...(page !== undefined && { page }),
  })
  return {
    status: 200,
    body: writeBundle({
      type: 'history',
      matches: found.matches,
      baseUrl: context.baseUrls[0]!,
      links: linksOf(`${context.baseUrls[0]!}${pathOf({ ...place })}/_history`, { applied, form, page, next }),
      ...(found.total !== undefined && { total: found.total }),
      issues: ignored,
    }),
  }
}

function withoutPage(given: Parameter[]): { page: string | undefined; parameters: Parameter[] } {
  const page = given.find(([name]) => name === pageName)?.[1]
  return { page, parameters: page === undefined ? given : given.filter(([name]) => name !== pageName) }
}

type Paging = { applied: Parameter[]; form: Parameter[]; page: string | undefined; next: string | undefined }

function linksOf(url: string, { applied, form, page, next }: Paging): Link[] {
  const first = withQuery(url, [...applied, ...form])
  return [
    { relation: 'self', url: page === undefined ? first : withQuery(url, [[pageName, page], ...form]) },
    { relation: 'first', url: first },
    ...(next === undefined ? [] : [{ relation: 'next', url: withQuery(url, [[pageName, next], ...form]) }]),
  ]
}

const withQuery = (url: string, parameters: Parameter[]): string =>
  parameters.length === 0
    ? url
    : `${url}?${parameters.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&')}`

const plain = /^[\w.:,/$-]*$/

/** What has a meaning in a query string is escaped; what people read (`:`, `,`, `/`, `$`) is not. */
const encode = (text: string): string =>
  plain.test(text)
    ? text
    : encodeURIComponent(text).replace(/%(3A|2C|2F|24)/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
