import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { startPeople, type TestBrowser, type TestPeople } from './testing.js'

const password = 'seven brown hens'
const minute = 60_000

let tested: TestPeople
let ended: { session: string; subject: string }[]
let revoked: [subject: string, app: string][]
beforeEach(async () => {
  ended = []
  revoked = []
  tested = await startPeople({
    apps: {
      list: async () => [{ id: 'app-1', name: 'Growth <chart>', since: 1_800_000_000_000, scopes: ['patient/*.rs'] }],
      revoke: async (subject, app) => {
        revoked.push([subject, app])
      },
      revokeAll: async (subject) => {
        revoked.push([subject, 'all'])
      },
      sessionEnded: async (session) => {
        ended.push(session)
      },
    },
  })
  const [ann, rose] = [
    { type: 'Practitioner', id: 'ann' },
    { type: 'Patient', id: 'rose' },
  ]
  await tested.people.create({ name: 'Ann', role: 'doctor', user: ann, userName: 'ann', password })
  await tested.people.create({ name: 'Rose', role: 'patient', user: rose, contacts: ['rose@example.org'] })
})
afterEach(async () => {
  await tested.close()
  expect(tested.reports).toEqual([])
})

async function asAnn(browser = tested.browser()): Promise<TestBrowser> {
  await browser.get('/auth/sign-in?anew')
  await browser.submit({ login: 'ann', password })
  return browser
}

async function asRose(browser = tested.browser()): Promise<TestBrowser> {
  await browser.get('/auth/sign-in/contact')
  await browser.submit({ contact: 'rose@example.org' })
  await browser.submit({ code: tested.codeTo('rose@example.org') })
  return browser
}

const isIn = async (browser: TestBrowser) => (await browser.get('/auth/apps')).path === '/auth/apps'

test.each([
  ['staff', asAnn, 15],
  ['a patient', asRose, 30],
] as const)('%s who does nothing is signed out', async (_who, signIn, minutes) => {
  const browser = await signIn()
  for (let rounds = 0; rounds < 3; rounds++) {
    tested.now.at += minutes * minute - 1000
    expect(await isIn(browser)).toBe(true)
  }
  tested.now.at += minutes * minute
  expect(await isIn(browser)).toBe(false)
})

test('after twelve hours a session is over, however much it was used', async () => {
  const browser = await asAnn()
  for (let rounds = 0; rounds < 71; rounds++) {
    tested.now.at += 10 * minute
    expect(await isIn(browser)).toBe(true)
  }
  tested.now.at += 10 * minute
  expect(await isIn(browser)).toBe(false)
})

test('the cookie is new with every sign-in, and the one of before opens nothing', async () => {
  const browser = await asAnn()
  const before = browser.cookies.get('session.default')!
  await asAnn(browser)
  expect(browser.cookies.get('session.default')).not.toBe(before)
  browser.cookies.set('session.default', before)
  expect(await isIn(browser)).toBe(false)
})

test('an app that works while the person is signed in keeps the session for itself, not for the pages', async () => {
  const browser = await asAnn()
  const cookie = `session.default=${browser.cookies.get('session.default')}`
  const { session } = (await tested.people.signedIn({ headers: { cookie } } as never))!
  // As apps do: a new token when the old one is over.
  for (let tokens = 0; tokens < 10; tokens++) {
    tested.now.at += 15 * minute + 1000
    expect(await tested.people.isOnline(session.id)).toBe(true)
  }
  expect(await isIn(browser)).toBe(false)
  tested.now.at += 31 * minute
  expect(await tested.people.isOnline(session.id)).toBe(false)
})

test('a cookie somebody made up opens nothing', async () => {
  const browser = tested.browser()
  for (const made of ['x', '..', '%00', 'constructor', 'a'.repeat(43)]) {
    browser.cookies.set('session.default', made)
    expect(await isIn(browser)).toBe(false)
  }
})

test('signing out ends the session and what was granted for it, and says so to nobody else', async () => {
  const [browser, other] = [await asAnn(), await asAnn()]
  await browser.get('/auth/apps')
  expect((await browser.submit({ out: '1' })).text).toContain('You are signed out.')
  expect(ended).toHaveLength(1)
  expect([await isIn(browser), await isIn(other)]).toEqual([false, true])
  expect(tested.events.at(-1)).toMatchObject({ kind: 'sign-out' })
})

test('signing out everywhere ends every session and every token', async () => {
  const [browser, other] = [await asAnn(), await asAnn()]
  const { subject } = (await tested.people.accounts.list(10)).find(({ role }) => role === 'doctor')!
  await browser.get('/auth/apps')
  await browser.submit({ everywhere: '1' })
  expect([await isIn(browser), await isIn(other)]).toEqual([false, false])
  expect(ended).toHaveLength(2)
  expect(revoked).toEqual([[subject, 'all']])
  expect((await tested.people.bySubject(subject))!.revision).toBe(2)
})

test('a person ends another session of theirs, and of nobody else', async () => {
  const [browser, other, stranger] = [await asAnn(), await asAnn(), await asRose()]
  const page = await browser.get('/auth/apps')
  const [id] = /(?<=name="end" value=")[^"]*/.exec(page.text)!
  await stranger.get('/auth/apps')
  const form = /name="form" value="([^"]*)"/.exec(stranger.page.text)![1]!
  await stranger.send('POST', '/auth/apps', new URLSearchParams({ form, end: id }))
  expect(await isIn(other)).toBe(true)
  await browser.submit({ end: id })
  expect([await isIn(browser), await isIn(other)]).toEqual([true, false])
})

test('apps are listed in plain words and taken back', async () => {
  const browser = await asAnn()
  expect(browser.page.text).toContain('Growth &lt;chart&gt;')
  expect(browser.page.text).toContain('all types there are now, and those added in future')
  expect((await browser.submit({ revoke: 'app-1' })).text).toContain('Access was taken back.')
  expect(revoked).toMatchObject([[expect.any(String), 'app-1']])
})

test('a form of another session, of another site, or without its token is refused', async () => {
  const [browser, other] = [await asAnn(), await asRose()]
  const form = /name="form" value="([^"]*)"/.exec(other.page.text)![1]!
  const post = async (fields: Record<string, string>) =>
    (await browser.send('POST', '/auth/apps', new URLSearchParams({ everywhere: '1', ...fields }))).status
  expect([await post({}), await post({ form })]).toEqual([403, 403])
  await browser.get('/auth/apps')
  browser.headers = { 'sec-fetch-site': 'cross-site' }
  expect((await browser.submit({ everywhere: '1' })).status).toBe(403)
  browser.headers = {}
  expect(await isIn(browser)).toBe(true)
})

test('the authorization server is told who is there', async () => {
  const browser = await asAnn()
  const id = (await tested.people.accounts.list(10)).find(({ role }) => role === 'doctor')!
  const [session] = await tested.people.accounts.accountsOf((await tested.people.accounts.person(id.person))!)
  const cookie = `session.default=${browser.cookies.get('session.default')}`
  const found = await tested.people.signedIn({ headers: { cookie } } as never)
  expect(found).toMatchObject({ account: { subject: session!.subject }, session: { methods: ['pwd'] } })
  expect(await tested.people.isOnline(found!.session.id)).toBe(true)
  await browser.get('/auth/apps')
  await browser.submit({ out: '1' })
  expect(await tested.people.isOnline(found!.session.id)).toBe(false)
})

test.each([
  ['GET', '/auth/none', 404],
  ['DELETE', '/auth/apps', 404],
  ['GET', '/auth/sign-in/none', 404],
  ['GET', '/auth/sign-in/again', 405],
  ['GET', '/auth/sign-in/step', 200],
  ['GET', '/auth/invitation?token=nonsense', 410],
  ['GET', '/auth/invitation/accept', 410],
])('%s %s is answered %d', async (method, path, status) => {
  expect((await tested.browser().send(method, path)).status).toBe(status)
})

test('a form that is too long is cut off', async () => {
  const browser = tested.browser()
  await browser.get('/auth/sign-in')
  expect((await browser.submit({ login: 'x'.repeat(20_000), password })).status).toBe(413)
})
