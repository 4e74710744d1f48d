/**
 * A tenant's people behind an HTTP server, for tests: with a mailbox instead of mail, and browsers without script.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import type { SecurityEvent } from '../../access/index.js'
import { type Database, openMongo, openSqlite, type Secrets } from '../../store/index.js'
import type { SignIn } from '../account.js'
import { breached } from './breached.js'
import type { Message } from './delivery.js'
import { type People, type PeopleOptions, people } from './people.js'

export type TestPeople = {
  people: People
  secrets: Secrets
  url: string
  sent: Message[]
  events: SecurityEvent[]
  reports: unknown[]
  /** What the app behind `/auth/app` asks of a sign-in, and how it ended. */
  app: { mfa: boolean; signedInAfter?: number; ended: (SignIn | 'denied')[] }
  /** What time it is. */
  now: { at: number }
  /** The last code that was sent to a contact. */
  codeTo(to: string): string
  browser(): TestBrowser
  close(): Promise<void>
}

/** `started` holds the clock, so that no test sleeps. */
export async function startPeople(options: Partial<PeopleOptions> = {}): Promise<TestPeople> {
  const now = { at: 1_800_000_000_000 }
  const clock = (): number => now.at
  const { database, remove } = await storeOfItsOwn(clock)
  const { secrets } = database.tenant('default')
  const [sent, events, reports]: [Message[], SecurityEvent[], unknown[]] = [[], [], []]
  const app: TestPeople['app'] = { mfa: false, ended: [] }
  const server = createServer((request, response) => {
    started
      .then((each) => appAsks(each, app, request, response) ?? each.handle(request, response))
      .then((answered) => {
        if (!answered) response.writeHead(404).end()
      })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/auth`
  const started = people({
    secrets,
    tenant: 'default',
    site: 'Test Hospital',
    url,
    deliver: async (message) => {
      sent.push(message)
    },
    breached: await breached(),
    clock,
    record: async (event) => {
      events.push(event)
    },
    originOf: (request) => ({ id: 'test', address: String(request.headers['x-test-address'] ?? '192.0.2.1') }),
    report: (error) => reports.push(error),
    ...options,
  })
  return {
    people: await started,
    secrets,
    url,
    sent,
    events,
    reports,
    app,
    now,
    codeTo: (to) => /\d{6}/.exec(sent.filter((message) => message.to.to === to).at(-1)?.text ?? '')?.[0] ?? 'none',
    browser: () => new TestBrowser(url),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await database.close()
      await remove()
    },
  }
}

/** As the authorization server asks on behalf of an app. */
function appAsks(
  { login }: People,
  { ended, ...asked }: TestPeople['app'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<true> | undefined {
  const [, below] = /^\/auth\/app(\/[a-z]+)?(?=$|\?)/.exec(request.url ?? '') ?? [undefined, undefined]
  if (!(request.url ?? '').startsWith('/auth/app') || (request.url ?? '').startsWith('/auth/apps')) return undefined
  const end = (how: SignIn | 'denied') => async () => {
    ended.push(how)
    response.end('the app goes on')
  }
  return login({
    request,
    response,
    path: '/auth/app',
    below: below ?? '',
    uid: 'of-the-app',
    client: { id: 'app', name: 'My <app>' },
    locales: ['fr'],
    ...asked,
    finish: (signIn) => end(signIn)(),
    deny: end('denied'),
  }).then(() => true)
}

/** A file, or a database on the MongoDB whose address is in TEST_STORE. */
async function storeOfItsOwn(clock: () => number): Promise<{ database: Database; remove(): Promise<void> }> {
  const mongodb = process.env['TEST_STORE']
  if (!mongodb) {
    const folder = mkdtempSync(join(tmpdir(), 'people-'))
    const database = await openSqlite(join(folder, 'people.db'), { clock })
    return { database, remove: async () => rmSync(folder, { recursive: true, force: true }) }
  }
  const url = new URL(mongodb)
  url.pathname = `/people-${randomBytes(6).toString('hex')}`
  const remove = async () => {
    const client = new MongoClient(url.href)
    await client.db().dropDatabase()
    await client.close()
  }
  return { database: await openMongo(url.href, { clock }), remove }
}

export type TestPage = { status: number; headers: Headers; text: string; path: string }

/** Keeps cookies, follows redirects within the pages, and posts the forms it is shown. */
export class TestBrowser {
  readonly cookies = new Map<string, string>()
  page: TestPage = { status: 0, headers: new Headers(), text: '', path: '' }
  headers: Record<string, string> = {}

  constructor(readonly url: string) {}

  async get(path: string): Promise<TestPage> {
    return this.send('GET', path)
  }

  /** Fills in the first form that has all these fields, as a person would. */
  async submit(fields: Record<string, string>): Promise<TestPage> {
    const form = formsOf(this.page.text).find(({ names }) => Object.keys(fields).every((name) => names.includes(name)))
    if (!form) throw new Error(`no form asks for ${Object.keys(fields)}: ${this.page.text.slice(0, 2000)}`)
    return this.send('POST', form.action, new URLSearchParams({ ...form.hidden, ...fields }))
  }

  async json(
    path: string,
    body: unknown,
  ): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> {
    const response = await this.fetch('POST', path, JSON.stringify(body), { 'Content-Type': 'application/json' })
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    }
  }

  async send(method: string, path: string, body?: URLSearchParams): Promise<TestPage> {
    let response = await this.fetch(method, path, body?.toString(), {
      ...(body && { 'Content-Type': 'application/x-www-form-urlencoded' }),
    })
    let at = path
    for (let turns = 0; response.status === 303 && turns < 10; turns++) {
      at = response.headers.get('location')!
      // To the app: where it ends is what a test wants to know.
      const { hostname, pathname, search } = new URL(at, this.url)
      if (!['127.0.0.1', 'localhost'].includes(hostname)) break
      at = pathname + search
      response = await this.fetch('GET', at, undefined, {})
    }
    this.page = { status: response.status, headers: response.headers, text: await response.text(), path: at }
    return this.page
  }

  private async fetch(
    method: string,
    path: string,
    body: string | undefined,
    headers: Record<string, string>,
  ): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(new URL(path, this.url), {
      method,
      redirect: 'manual',
      headers: { ...(cookie !== '' && { Cookie: cookie }), ...headers, ...this.headers },
      ...(body !== undefined && { body }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (/Max-Age=0/.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }
}

type Form = { action: string; names: string[]; hidden: Record<string, string> }

function formsOf(text: string): Form[] {
  return [...text.matchAll(/<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/gs)].map(
    ([, action = '', inside = '']) => {
      const names = [...inside.matchAll(/ name="([^"]*)"/g)].map(([, name = '']) => name)
      const hidden = [...inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)]
      return { action, names, hidden: Object.fromEntries(hidden.map(([, name, value]) => [name, value])) }
    },
  )
}
