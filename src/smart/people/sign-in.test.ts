import { afterEach, describe, expect, test } from '@jest/globals'
import { generate } from 'otplib'
import type { Ref } from '../../fhir/index.js'
import type { TestBrowser, TestPeople } from './testing.js'
import { startPeople } from './testing.js'

const password = 'seven brown hens'
const ann: Ref = { type: 'Practitioner', id: 'ann' }
const rose: Ref = { type: 'Patient', id: 'rose' }

let tested: TestPeople
afterEach(async () => {
  await tested.close()
  expect(tested.reports).toEqual([])
})

const doctor = (more: object = {}) =>
  tested.people.create({
    name: 'Ann',
    role: 'doctor',
    user: ann,
    userName: 'ann',
    password,
    organizations: ['a'],
    ...more,
  })
const patient = (more: object = {}) =>
  tested.people.create({ name: 'Rose', role: 'patient', user: rose, contacts: ['rose@example.org'], ...more })

async function signIn(browser: TestBrowser, login = 'ann', given = password) {
  await browser.get('/auth/sign-in?anew')
  return browser.submit({ login, password: given })
}

const codeOf = (secret: string) => generate({ secret, epoch: Math.floor(tested.now.at / 1000) })

describe('staff', () => {
  test('sign in with a user name and a password, and are called by name and role', async () => {
    tested = await startPeople()
    await doctor()
    const browser = tested.browser()
    const page = await signIn(browser)
    expect([page.status, page.path]).toEqual([200, '/auth/apps'])
    expect(page.text).toContain('Ann as doctor')
    expect(tested.events.at(-1)).toMatchObject({ kind: 'sign-in', outcome: 0, methods: ['pwd'], person: { user: ann } })
  })

  test.each([['ANN '], ['ann@Example.org']])('%s is found', async (login) => {
    tested = await startPeople()
    await doctor({ contacts: ['ann@example.org'] })
    expect((await signIn(tested.browser(), login)).path).toBe('/auth/apps')
  })

  test('a wrong password and an unknown name get the same answer', async () => {
    tested = await startPeople()
    await doctor()
    const [wrong, unknown] = [tested.browser(), tested.browser()]
    const pages = [await signIn(wrong, 'ann', 'six brown hens!'), await signIn(unknown, 'bob', 'six brown hens!')]
    expect(pages.map(({ status }) => status)).toEqual([401, 401])
    const texts = pages.map(({ text }) => text.replace(/value="[^"]*"/g, ''))
    expect(texts[0]).toBe(texts[1])
    expect(tested.events.at(-1)).toEqual({ kind: 'sign-in', outcome: 4, why: 'wrong-password' })
  })

  test('a disabled account is as good as none', async () => {
    tested = await startPeople()
    const { subject } = await doctor()
    await tested.people.change(subject, { disabled: true })
    expect((await signIn(tested.browser())).status).toBe(401)
  })

  test('a session ends with the rights it was begun with', async () => {
    tested = await startPeople()
    const { subject } = await doctor()
    const browser = tested.browser()
    await signIn(browser)
    await tested.people.change(subject, { role: 'nurse' })
    expect((await browser.get('/auth/apps')).path).toBe('/auth/sign-in')
  })

  test('after five wrong passwords each try waits longer, and the tenth ends it for a quarter of an hour', async () => {
    tested = await startPeople()
    await doctor()
    const browser = tested.browser()
    const waits: number[] = []
    for (let tries = 0; tries < 10; tries++) {
      let page = await signIn(browser, 'ann', 'six brown hens!')
      if (page.status === 429) {
        waits.push(Number(page.headers.get('retry-after')))
        tested.now.at += waits.at(-1)! * 1000
        page = await signIn(browser, 'ann', 'six brown hens!')
      }
      expect(page.status).toBe(401)
    }
    expect(waits).toEqual([1, 2, 4, 8, 16])
    const refused = await signIn(browser)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800)
    tested.now.at += 15 * 60_000
    expect((await signIn(browser)).path).toBe('/auth/apps')
  })

  test('a hundred wrong passwords at once are ten tries at most', async () => {
    tested = await startPeople()
    await doctor()
    const tries = Array.from({ length: 40 }, () =>
      tested.browser().json('/auth/api/sign-in', { username: 'ann', password: 'six brown hens!' }),
    )
    const statuses = (await Promise.all(tries)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(10)
    expect(new Set(statuses)).toEqual(new Set([401, 429]))
  })

  test('nobody is locked out by a stranger: not in another network, and not on a device they know', async () => {
    tested = await startPeople()
    await doctor()
    const own = tested.browser()
    await signIn(own)
    const stranger = tested.browser()
    for (let tries = 0; tries < 12; tries++) await signIn(stranger, 'ann', 'six brown hens!')
    expect((await signIn(stranger)).status).toBe(429)
    expect((await signIn(own)).path).toBe('/auth/apps')
    const elsewhere = tested.browser()
    elsewhere.headers = { 'x-test-address': '198.51.100.7' }
    expect((await signIn(elsewhere)).path).toBe('/auth/apps')
  })
})

describe('the second factor', () => {
  const admin = () =>
    tested.people.create({ name: 'Ada', role: 'hospital-administrator', user: ann, userName: 'ada', password })

  async function enrolled(browser: TestBrowser) {
    await signIn(browser, 'ada')
    const secret = /class="secret">([A-Z2-7 ]+)</.exec(browser.page.text)![1]!.replaceAll(' ', '')
    await browser.submit({ code: await codeOf(secret) })
    const codes = [...browser.page.text.matchAll(/<li>([a-z0-9]{5}-[a-z0-9]{5})<\/li>/g)].map(([, code]) => code!)
    return { secret, codes }
  }

  test('an administrator sets it up at the first sign-in, keeps recovery codes, and is then signed in', async () => {
    tested = await startPeople()
    await admin()
    const browser = tested.browser()
    const { codes } = await enrolled(browser)
    expect(new Set(codes).size).toBe(10)
    expect(browser.cookies.has('session.default')).toBe(false)
    expect((await browser.send('POST', '/auth/sign-in/step', new URLSearchParams())).status).toBe(403)
    expect((await browser.get('/auth/sign-in/step')).text).toContain(codes[9])
    expect((await browser.submit({ kept: '1' })).path).toBe('/auth/apps')
    expect(tested.events.at(-1)).toMatchObject({ kind: 'sign-in', methods: ['pwd', 'otp', 'mfa'] })
  })

  test('who begins again at the same browser goes on with nothing of before', async () => {
    tested = await startPeople()
    await admin()
    const browser = tested.browser()
    await enrolled(browser)
    await browser.get('/auth/sign-in')
    expect((await browser.get('/auth/sign-in/step')).text).not.toContain('recovery')
  })

  test('the codes must be said to be kept', async () => {
    tested = await startPeople()
    await admin()
    const browser = tested.browser()
    await enrolled(browser)
    const page = await browser.submit({ form: /name="form" value="([^"]*)"/.exec(browser.page.text)![1]! })
    expect([page.status, page.text.includes('Please confirm')]).toEqual([400, true])
  })

  test('a code is good for one sign-in, one step early or late, and not two', async () => {
    tested = await startPeople()
    await admin()
    const { secret } = await enrolled(tested.browser())
    const [first, second] = [tested.browser(), tested.browser()]
    tested.now.at += 60_000
    const code = await codeOf(secret)
    tested.now.at += 30_000
    await signIn(first, 'ada')
    expect((await first.submit({ code })).path).toBe('/auth/apps')
    await signIn(second, 'ada')
    expect((await second.submit({ code })).status).toBe(401)
    tested.now.at += 30_000
    expect((await second.submit({ code })).status).toBe(401)
    expect((await second.submit({ code: await codeOf(secret) })).path).toBe('/auth/apps')
  })

  test('of ten who show one code at once, one is let in', async () => {
    tested = await startPeople()
    await admin()
    const { secret } = await enrolled(tested.browser())
    tested.now.at += 60_000
    const steps: string[] = []
    for (let at = 0; at < 8; at++) {
      const { body } = await tested.browser().json('/auth/api/sign-in', { username: 'ada', password })
      expect(body['need']).toBe('totp')
      steps.push(String(body['step']))
    }
    const code = await codeOf(secret)
    const shown = await Promise.all(steps.map((step) => tested.browser().json('/auth/api/sign-in', { step, code })))
    expect(shown.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  test('a recovery code is good once', async () => {
    tested = await startPeople()
    await admin()
    const { codes } = await enrolled(tested.browser())
    const browser = tested.browser()
    for (const [recovery, path] of [
      [codes[0]!.toUpperCase().replace('-', ' '), '/auth/apps'],
      [codes[0]!, '/auth/sign-in/recovery'],
    ] as const) {
      await signIn(browser, 'ada')
      await browser.get('/auth/sign-in/recovery')
      expect((await browser.submit({ recovery })).path).toBe(path)
    }
    expect(tested.events.filter(({ why }) => why === 'recovery-code-used')).toHaveLength(1)
  })

  test('guessing it is limited, and the right one clears what was counted', async () => {
    tested = await startPeople()
    await admin()
    const { secret } = await enrolled(tested.browser())
    const browser = tested.browser()
    await signIn(browser, 'ada')
    const statuses: number[] = []
    for (let tries = 0; tries < 12; tries++) statuses.push((await browser.submit({ code: '000000' })).status)
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(6)
    expect(statuses.at(-1)).toBe(429)
    tested.now.at += 10 * 60_000
    expect((await browser.submit({ code: await codeOf(secret) })).path).toBe('/auth/apps')
  })

  test('secrets of authenticator apps and codes are not in the store as they are', async () => {
    tested = await startPeople()
    await admin()
    const { secret, codes } = await enrolled(tested.browser())
    const rows = JSON.stringify(await tested.secrets.list('people/', 1000))
    for (const hidden of [secret, password, ...codes]) expect(rows).not.toContain(hidden)
  })
})

describe('patients', () => {
  const ask = async (browser: TestBrowser, contact = 'rose@example.org') => {
    await browser.get('/auth/sign-in/contact')
    return browser.submit({ contact })
  }

  test('sign in with a code that is sent to them', async () => {
    tested = await startPeople()
    await patient()
    const browser = tested.browser()
    expect((await ask(browser, 'Rose@example.org')).path).toBe('/auth/sign-in/code')
    expect((await browser.submit({ code: tested.codeTo('rose@example.org') })).path).toBe('/auth/apps')
    expect(browser.page.text).toContain('Rose as patient')
  })

  test('by SMS too', async () => {
    tested = await startPeople()
    await patient({ contacts: ['+256 700 000 001'] })
    const browser = tested.browser()
    await ask(browser, '+256700000001')
    expect((await browser.submit({ code: tested.codeTo('+256700000001') })).path).toBe('/auth/apps')
    expect(tested.events.at(-1)).toMatchObject({ methods: ['sms'] })
  })

  test('a contact nobody has is answered alike, and nothing is sent', async () => {
    tested = await startPeople()
    await patient()
    const [known, unknown] = [tested.browser(), tested.browser()]
    const pages = [await ask(known), await ask(unknown, 'nobody@example.org')]
    const plain = pages.map(({ text }) => text.replace(/value="[^"]*"/g, ''))
    expect(plain[0]).toBe(plain[1])
    expect(tested.sent).toHaveLength(1)
    const answers = [await known.submit({ code: '1' }), await unknown.submit({ code: '1' })]
    expect(answers.map(({ status }) => status)).toEqual([401, 401])
  })

  test('a code is good once, for ten minutes, and for five tries', async () => {
    tested = await startPeople()
    await patient()
    const browser = tested.browser()
    await ask(browser)
    const first = tested.codeTo('rose@example.org')
    tested.now.at += 10 * 60_000
    expect((await browser.submit({ code: first })).status).toBe(401)
    await ask(browser)
    const second = tested.codeTo('rose@example.org')
    const wrong = second === '000000' ? '000001' : '000000'
    for (let tries = 0; tries < 5; tries++) expect((await browser.submit({ code: wrong })).status).toBe(401)
    expect((await browser.submit({ code: second })).status).toBe(401)
    tested.now.at += 30_000
    await ask(browser)
    const third = tested.codeTo('rose@example.org')
    expect((await browser.submit({ code: third })).path).toBe('/auth/apps')
    const again = await tested.browser().json('/auth/api/otp/verify', { contact: 'rose@example.org', code: third })
    expect(again.status).toBe(401)
  })

  test.each([['rose@example.org'], ['nobody@example.org']])(
    'new codes for %s come half a minute apart, five an hour and ten a day',
    async (contact) => {
      tested = await startPeople()
      await patient()
      const request = async () => (await tested.browser().json('/auth/api/otp/request', { contact })).status
      expect([await request(), await request()]).toEqual([202, 429])
      for (let count = 1; count < 5; count++) {
        tested.now.at += 30_000
        expect(await request()).toBe(202)
      }
      tested.now.at += 30_000
      expect(await request()).toBe(429)
      tested.now.at += 3_600_000
      for (let count = 5; count < 10; count++) {
        tested.now.at += 30_000
        expect(await request()).toBe(202)
      }
      tested.now.at += 2 * 3_600_000
      expect(await request()).toBe(429)
    },
  )

  test('one address asks for twenty codes an hour, for whomever', async () => {
    tested = await startPeople()
    const statuses: number[] = []
    for (let at = 0; at < 22; at++)
      statuses.push((await tested.browser().json('/auth/api/otp/request', { contact: `p${at}@example.org` })).status)
    expect(statuses.filter((status) => status === 202)).toHaveLength(20)
  })

  test('a stranger who asks for codes does not use up those of a known device', async () => {
    tested = await startPeople()
    await patient()
    const own = tested.browser()
    await ask(own)
    await own.submit({ code: tested.codeTo('rose@example.org') })
    for (let at = 0; at < 6; at++) {
      tested.now.at += 30_000
      await tested.browser().json('/auth/api/otp/request', { contact: 'rose@example.org' })
    }
    await own.get('/auth/sign-in/contact')
    await own.submit({ contact: 'rose@example.org' })
    expect((await own.submit({ code: tested.codeTo('rose@example.org') })).path).toBe('/auth/apps')
  })

  test('staff are not let in by a code', async () => {
    tested = await startPeople()
    await doctor({ contacts: ['ann@example.org'] })
    await ask(tested.browser(), 'ann@example.org')
    expect(tested.sent).toEqual([])
  })

  test('a password of a patient is good together with a code only', async () => {
    tested = await startPeople()
    await patient({ userName: 'rose', password })
    const browser = tested.browser()
    await signIn(browser, 'rose')
    expect(browser.page.path).toBe('/auth/sign-in/step')
    expect((await browser.submit({ code: tested.codeTo('rose@example.org') })).path).toBe('/auth/apps')
    expect(tested.events.at(-1)).toMatchObject({ methods: ['pwd', 'otp', 'mfa'] })
  })
})

describe('roles', () => {
  test('a person with several chooses one, and is signed in as that one only', async () => {
    tested = await startPeople()
    const { person } = await doctor()
    await tested.people.create({ name: 'Ann', role: 'nurse', user: ann, person, organizations: ['b'] })
    const browser = tested.browser()
    await signIn(browser)
    expect(browser.page.text).toContain('In which role?')
    const subjects = [...browser.page.text.matchAll(/name="subject" id="[^"]*" value="([^"]*)"/g)].map(([, id]) => id!)
    expect((await browser.submit({ subject: 'somebody-else' })).status).toBe(400)
    await browser.submit({ subject: subjects[1]! })
    expect(browser.page.text).toContain('Ann as nurse')
  })

  test('a code that was sent opens what a person is as a patient, not as staff', async () => {
    tested = await startPeople()
    const { person } = await doctor({ contacts: ['ann@example.org'] })
    await tested.people.create({ name: 'Ann', role: 'patient', user: rose, person })
    const browser = tested.browser()
    await browser.get('/auth/sign-in/contact')
    await browser.submit({ contact: 'ann@example.org' })
    expect((await browser.submit({ code: tested.codeTo('ann@example.org') })).text).toContain('Ann as patient')
  })
})

describe('by JSON', () => {
  test.each([
    [{}],
    [{ username: 1, password: [] }],
    [{ username: 'ann' }],
    [[]],
    [null],
    ['text'],
    [{ username: 'x'.repeat(301), password }],
    [{ step: 5 }],
    [{ step: 'unknown', code: '000000' }],
    [{ username: '__proto__', password: 'constructor12' }],
  ])('%j is refused and breaks nothing', async (body) => {
    tested = await startPeople()
    const { status } = await tested.browser().json('/auth/api/sign-in', body)
    expect([400, 401]).toContain(status)
  })

  test('a session comes with a cookie that scripts cannot read', async () => {
    tested = await startPeople()
    await doctor()
    const { status, body, headers } = await tested.browser().json('/auth/api/sign-in', { username: 'ann', password })
    expect([status, body]).toMatchObject([200, { need: 'nothing', role: 'doctor', fhirUser: 'Practitioner/ann' }])
    expect(headers.getSetCookie().find((line) => line.startsWith('session'))).toMatch(/HttpOnly; SameSite=Lax/)
  })

  test('another site, or a form, is refused', async () => {
    tested = await startPeople()
    await doctor()
    const browser = tested.browser()
    browser.headers = { 'sec-fetch-site': 'cross-site' }
    expect((await browser.json('/auth/api/sign-in', { username: 'ann', password })).status).toBe(400)
    const form = await fetch(`${tested.url}/api/sign-in`, {
      method: 'POST',
      body: new URLSearchParams({ username: 'ann', password }),
    })
    expect(form.status).toBe(400)
    expect((await fetch(`${tested.url}/api/sign-in`)).status).toBe(405)
  })
})
