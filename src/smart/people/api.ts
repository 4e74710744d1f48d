/**
 * Signing in by JSON, for the hospital's own apps: the steps and limits of the pages.
 *
 * docs/api/sign-in.md
 *
 * Only `application/json` is read, which no form of another site can send, and browsers ask before a script does.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Pages } from '../pages/index.js'
import type { Browser } from './browser.js'
import { contactOf } from './contact.js'
import { token } from './keyed.js'
import { refusedStatus } from './login-pages.js'
import { SignInRefused } from './refused.js'
import type { SignIns } from './sign-in.js'

export type ApiParts = { pages: Pages; browser: Browser; signIns: SignIns }

type Body = Record<string, unknown>

class BadRequest extends Error {}

/** Field of a body that must be text. */
function text(body: Body, name: string, max = 2000): string {
  const value = body[name]
  if (typeof value !== 'string' || value === '' || value.length > max) throw new BadRequest(`"${name}" must be text`)
  return value
}

export type Api = (name: string, request: IncomingMessage, response: ServerResponse) => Promise<void>

export const apiNames = ['sign-in', 'otp/request', 'otp/verify'] as const

export function api(parts: ApiParts): Api {
  const works: Record<string, (body: Body, request: IncomingMessage, response: ServerResponse) => Promise<unknown>> = {
    'sign-in': (body, request, response) => signIn(parts, body, request, response),
    'otp/request': (body, request) => askForCode(parts, body, request),
    'otp/verify': (body, request, response) => withCode(parts, body, request, response),
  }
  return async (name, request, response) => {
    if (request.method !== 'POST') {
      response.setHeader('Allow', 'POST')
      return answer(response, 405, { error: 'method_not_allowed' })
    }
    try {
      const body = await jsonOf(request)
      const { status = 200, ...rest } = (await works[name]!(body, request, response)) as Body & { status?: number }
      answer(response, status, rest)
    } catch (error) {
      if (error instanceof BadRequest)
        return answer(response, 400, { error: 'invalid_request', message: error.message })
      if (!(error instanceof SignInRefused)) throw error
      const status = refusedStatus({ response }, error)
      answer(response, status, { error: errors[error.kind] })
    }
  }
}

const errors = {
  credentials: 'invalid_credentials',
  code: 'invalid_code',
  tooMany: 'too_many_attempts',
  busy: 'busy',
} as const

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(JSON.stringify(body))
}

const bodyMax = 8 * 1024

async function jsonOf(request: IncomingMessage): Promise<Body> {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw new BadRequest('another site asks')
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    throw new BadRequest('the body must be application/json')
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += (chunk as Buffer).length
    if (length > bodyMax) throw new BadRequest('the body is too long')
    chunks.push(chunk as Buffer)
  }
  let body: unknown
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new BadRequest('the body is not JSON')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new BadRequest('the body is no object')
  return body as Body
}

/** `{ username, password }`, and then `{ step, code | recovery | subject }` for as long as something is needed. */
async function signIn(
  parts: ApiParts,
  body: Body,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const { signIns, browser } = parts
  const from = browser.from({ request })
  if (body['step'] === undefined) {
    const step = token()
    const given = { login: text(body, 'username', 300), password: text(body, 'password') }
    await signIns.password(step, given, { mfa: false }, from)
    return goOn(parts, step, request, response)
  }
  const step = text(body, 'step', 100)
  const next = await signIns.next(step)
  if (body['subject'] !== undefined) {
    if (next?.need !== 'role' || !(await signIns.choose(step, text(body, 'subject')))) throw new SignInRefused('code')
  } else if (body['recovery'] !== undefined) await signIns.recovery(step, text(body, 'recovery'), from)
  else if (next?.need === 'code') await signIns.secondCode(step, text(body, 'code'), from)
  else await signIns.totp(step, text(body, 'code'), from)
  return goOn(parts, step, request, response)
}

/** The same answer, and after the same time, whether anybody has the contact or not. */
async function askForCode({ signIns, browser }: ApiParts, body: Body, request: IncomingMessage): Promise<unknown> {
  await signIns.sendCode(contactIn(body), browser.from({ request }))
  return { status: 202, message: 'If the contact is known, a code is on its way.' }
}

async function withCode(
  parts: ApiParts,
  body: Body,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const step = token()
  const given = { contact: contactIn(body), code: text(body, 'code', 20).replace(/\s/g, '') }
  await parts.signIns.code(step, given, { mfa: false }, parts.browser.from({ request }))
  return goOn(parts, step, request, response)
}

function contactIn(body: Body): NonNullable<ReturnType<typeof contactOf>> {
  const contact = contactOf(text(body, 'contact', 300))
  if (!contact) throw new BadRequest('"contact" must be an e-mail address, or a number that begins with +')
  return contact
}

async function goOn(
  { pages, browser, signIns }: ApiParts,
  step: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const next = await signIns.next(step)
  if (!next) throw new SignInRefused('credentials')
  switch (next.need) {
    case 'nothing': {
      const visit = pages.visit(request, response)
      const done = await signIns.complete(step, visit.session, browser.from({ request }))
      if (!done) throw new SignInRefused('code')
      browser.signIn(visit, done)
      const { subject, role, name, user } = done.account
      return {
        need: 'nothing',
        subject,
        role,
        name,
        fhirUser: `${user.type}/${user.id}`,
        methods: done.session.methods,
      }
    }
    case 'role':
      return { need: 'role', step, roles: next.accounts.map(({ subject, role, name }) => ({ subject, role, name })) }
    case 'code':
      await signIns.sendSecondCode(step, browser.from({ request }))
      return { need: 'code', step }
    case 'totp':
      return { need: 'totp', step }
    // Setting up an authenticator app needs the pages.
    case 'enrol':
    case 'codes':
      return { need: 'enrol' }
  }
}
