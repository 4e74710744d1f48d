/**
 * The pages of a tenant: what every request of a browser gets before its page is written, and how forms come back.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 *
 * A form carries a token that only we can make and that fits one cookie: the session's, or before there is one that of
 * the browser. A session id is new with every sign-in, so that forms of an earlier one are refused.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import helmet from 'helmet'
import { type Cookies, cookies } from './cookies.js'
import { type Child, type Html, html } from './html.js'
import { chosenLanguage, type Language, languageOf, type Translate, translator } from './languages.js'
import { page } from './page.js'
import { stylesheet, stylesheetName } from './style.js'

export type PagesOptions = {
  tenant: string
  /** What people call the tenant. */
  site: string
  /** Path below which the pages lie, without a final slash: `/auth`. */
  base: string
  /** Whether people reach the pages by https. */
  secure: boolean
  /** A secret of the tenant, 32 bytes. */
  key: Uint8Array
}

export type Shown = {
  title: string
  body: Child
  status?: number
  who?: { name: string; role: string } | undefined
  alert?: string | undefined
  /** Where a form of this page may lead besides our own pages: the redirect URI of an app. */
  leadsTo?: string | undefined
  /** Parameters of the address without which the page is not there in another language. */
  keeps?: Readonly<Record<string, string>>
}

/** One request of a browser. */
export type Visit = {
  request: IncomingMessage
  response: ServerResponse
  language: Language
  t: Translate
  base: string
  /** A form that posts to us, with its token. */
  form(action: string, content: Child, inline?: boolean): Html
  /** The fields of a form that came from our page; undefined when it did not: then it is answered. */
  fields(): Promise<URLSearchParams | undefined>
  show(shown: Shown): void
  /** Sends the browser on with GET. */
  go(path: string): void
  fail(status: number, alert: string): void
  /** The cookie of the session has just become this one, or none. */
  sessionIs(id: string | undefined, seconds?: number): void
  session: string | undefined
}

export type Pages = {
  cookies: Cookies
  /** `locales` are the app's `ui_locales`. */
  visit(request: IncomingMessage, response: ServerResponse, locales?: readonly string[]): Visit
  /** Answers the stylesheet; says whether it was asked for. */
  asset(request: IncomingMessage, response: ServerResponse): boolean
}

export const sessionCookie = 'session'
const browserCookie = 'browser'
const languageCookie = 'language'
const year = 365 * 86_400
/** A form of ours has a few short fields. */
const formMax = 16 * 1024

const headers = helmet({
  contentSecurityPolicy: false,
  referrerPolicy: { policy: 'no-referrer' },
  crossOriginResourcePolicy: { policy: 'same-origin' },
  // An app may open us in a window of its own and wait for it to come back: fhirclient's `target: 'popup'`.
  crossOriginOpenerPolicy: false,
  xFrameOptions: { action: 'deny' },
  // Only where people come by https, and of this host alone: others in its domain are not ours to judge.
  strictTransportSecurity: false,
})

export function pages({ tenant, site, base, secure, key }: PagesOptions): Pages {
  const jar = cookies({ secure, tenant })
  const tokenOf = (bound: string): string => createHmac('sha256', key).update(`form ${bound}`).digest('base64url')

  const protect = (request: IncomingMessage, response: ServerResponse): void => {
    headers(request, response, () => {})
    if (secure) response.setHeader('Strict-Transport-Security', 'max-age=31536000')
    response.setHeader('Permissions-Policy', 'camera=(), geolocation=(), microphone=(), payment=()')
  }

  const visit = (request: IncomingMessage, response: ServerResponse, locales?: readonly string[]): Visit => {
    protect(request, response)
    const asked = languageOf(parameter(request, 'language'))
    if (asked) jar.write(response, languageCookie, asked, year)
    const language = chosenLanguage({
      choice: asked ?? jar.read(request, languageCookie),
      locales,
      accepted: request.headers['accept-language'],
    })
    const t = translator(language)
    let session = jar.read(request, sessionCookie)
    let browser = jar.read(request, browserCookie)
    const bound = (): string => {
      if (session !== undefined) return `session ${session}`
      if (browser === undefined) {
        browser = randomBytes(16).toString('base64url')
        jar.write(response, browserCookie, browser)
      }
      return `browser ${browser}`
    }
    const self: Visit = {
      request,
      response,
      language,
      t,
      base,
      get session() {
        return session
      },
      sessionIs: (id, seconds) => {
        session = id
        if (id === undefined) jar.clear(response, sessionCookie)
        else jar.write(response, sessionCookie, id, seconds)
      },
      form: (action, content, inline = false) => html`<form method="post" action="${action}"${
        inline && html` class="inline"`
      }>
<input type="hidden" name="form" value="${tokenOf(bound())}">
${content}</form>
`,
      fields: async () => {
        const body = await bodyOf(request)
        if (body === undefined) {
          response.setHeader('Connection', 'close')
          self.fail(413, t('errorOld'))
          return undefined
        }
        const fields = new URLSearchParams(body)
        const theirs = request.headers['sec-fetch-site']
        const isOurs =
          /^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '') &&
          (theirs === undefined || theirs === 'same-origin' || theirs === 'none') &&
          equal(fields.get('form') ?? '', tokenOf(bound()))
        if (isOurs) return fields
        self.fail(403, t('errorOld'))
        return undefined
      },
      show: ({ title, body, status = 200, who, alert, leadsTo, keeps = {} }) => {
        const text = page({ title, language, base, site, body, alert, keeps, ...(who && { who }) })
        response.setHeader('Content-Security-Policy', policy(leadsTo))
        response.setHeader('Content-Type', 'text/html; charset=utf-8')
        response.setHeader('Content-Language', language)
        response.setHeader('Cache-Control', 'no-store')
        response.writeHead(status)
        response.end(request.method === 'HEAD' ? undefined : text)
      },
      go: (path) => {
        response.setHeader('Cache-Control', 'no-store')
        response.writeHead(303, { Location: path })
        response.end()
      },
      fail: (status, alert) => self.show({ status, title: t('errorTitle'), alert, body: undefined }),
    }
    return self
  }

  return {
    cookies: jar,
    visit,
    asset: (request, response) => {
      if (request.url?.split('?')[0] !== `${base}/${stylesheetName}`) return false
      protect(request, response)
      response.writeHead(200, {
        'Content-Type': 'text/css; charset=utf-8',
        'Cache-Control': 'public, max-age=31536000, immutable',
        'Content-Security-Policy': "default-src 'none'",
      })
      response.end(request.method === 'HEAD' ? undefined : stylesheet)
      return true
    },
  }
}

/**
 * Nothing but our stylesheet. Browsers apply form-action to redirects as well, so that the page whose form ends at the
 * app names the app: https://github.com/w3c/webappsec-csp/issues/8
 */
const policy = (leadsTo: string | undefined): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    `form-action 'self'${leadsTo === undefined ? '' : sourceOf(leadsTo)}`,
  ].join('; ')

/** The origin of a redirect URI, or the scheme of an app's own. */
function sourceOf(uri: string): string {
  if (!URL.canParse(uri)) return ''
  const { protocol, origin } = new URL(uri)
  const source = protocol === 'https:' || protocol === 'http:' ? origin : protocol
  return /^[\w.:/[\]+-]+$/.test(source) ? ` ${source}` : ''
}

const parameter = (request: IncomingMessage, name: string): string | undefined =>
  new URLSearchParams((request.url ?? '').split('?')[1] ?? '').get(name) ?? undefined

/** undefined when it is longer than a form of ours can be. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += (chunk as Buffer).length
    if (length > formMax) return undefined
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const equal = (given: string, expected: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
