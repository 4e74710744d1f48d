import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { generate } from 'otplib'
import { AccountRefused } from './refused.js'
import { startPeople, type TestBrowser, type TestPeople } from './testing.js'

const password = 'seven brown hens'

let tested: TestPeople
beforeEach(async () => {
  tested = await startPeople()
})
afterEach(async () => {
  await tested.close()
  expect(tested.reports).toEqual([])
})

const invited = {
  name: 'Nell',
  role: 'nurse',
  user: { type: 'Practitioner', id: 'nell' },
  organizations: ['ward-1'],
  contact: 'nell@example.org',
} as const

const below = (link: string): string => link.slice(new URL(link).origin.length)

async function open(browser: TestBrowser, link: string) {
  await browser.get(below(link))
  return browser.submit({ token: new URL(link).searchParams.get('token')! })
}

test('an invitation makes one account, for the role and contact it was written for', async () => {
  const { link } = await tested.people.invite(invited)
  expect(tested.sent[0]).toMatchObject({ to: { to: 'nell@example.org' } })
  expect(tested.sent[0]!.text).toContain(link)
  const browser = tested.browser()
  await open(browser, link)
  expect(browser.page.path).not.toContain('token')
  expect(browser.page.text).toContain('You were invited as nurse. The account is for n…@example.org.')
  const form = { login: 'nell', name: 'Nell', password, again: password }
  const raised = { role: 'platform-administrator', organizations: 'other', user: 'Practitioner/ann' }
  const hidden = /name="form" value="([^"]*)"/.exec(browser.page.text)![1]!
  await browser.send('POST', browser.page.path, new URLSearchParams({ form: hidden, ...form, ...raised }))
  expect(browser.page.text).toContain('Your account is ready.')
  const [account] = await tested.people.accounts.list(10)
  expect(account).toMatchObject({
    role: 'nurse',
    organizations: ['ward-1'],
    user: { type: 'Practitioner', id: 'nell' },
  })
  await browser.get('/auth/sign-in')
  expect((await browser.submit({ login: 'nell@example.org', password })).path).toBe('/auth/apps')
})

test('the link is good once, for three days, and is not used up by looking at it', async () => {
  const { link } = await tested.people.invite(invited)
  for (let looks = 0; looks < 3; looks++) expect((await tested.browser().get(below(link))).status).toBe(200)
  const [first, second] = [tested.browser(), tested.browser()]
  await second.get(below(link))
  await open(first, link)
  expect((await second.submit({ token: new URL(link).searchParams.get('token')! })).status).toBe(410)
  const { link: late } = await tested.people.invite({ ...invited, contact: 'late@example.org' })
  tested.now.at += 72 * 3_600_000
  expect((await tested.browser().get(below(late))).status).toBe(410)
})

test('what was typed wrong can be mended', async () => {
  const { link } = await tested.people.invite(invited)
  const browser = tested.browser()
  await open(browser, link)
  const fill = async (change: Record<string, string>) =>
    (await browser.submit({ name: 'Nell', login: 'nell', password, again: password, ...change })).text
  expect(await fill({ password: 'short', again: 'short' })).toContain('The password is too short')
  expect(await fill({ again: 'something else' })).toContain('The two passwords are not the same')
  expect(await fill({ password: 'password1234', again: 'password1234' })).toContain('lists of stolen passwords')
  expect(await fill({ login: 'n' })).toContain('Use 3 to 100 letters')
  await tested.people.create({
    name: 'Other',
    role: 'nurse',
    user: { type: 'Practitioner', id: 'x' },
    userName: 'nell',
  })
  expect(await fill({})).toContain('This user name cannot be used')
  expect(await fill({ login: 'nell2' })).toContain('Your account is ready.')
})

test('nobody grants above their own role, nor outside their hospital', async () => {
  const by = { role: 'hospital-administrator', organizations: ['ward-1'] }
  await expect(tested.people.invite({ ...invited, role: 'tenant-administrator' }, by)).rejects.toThrow(AccountRefused)
  await expect(tested.people.invite({ ...invited, organizations: ['other'] }, by)).rejects.toThrow(AccountRefused)
  await expect(tested.people.invite(invited, { role: 'doctor', organizations: ['ward-1'] })).rejects.toThrow(
    AccountRefused,
  )
  await expect(tested.people.invite(invited, by)).resolves.toBeDefined()
  const above = await tested.people.create({
    name: 'T',
    role: 'tenant-administrator',
    user: { type: 'Person', id: 't' },
  })
  for (const change of [{ role: 'nurse' }, { disabled: true }])
    await expect(tested.people.change(above.subject, change, by)).rejects.toThrow(AccountRefused)
  await expect(tested.people.renew(above.subject, by)).rejects.toThrow(AccountRefused)
})

test('the first administrator is made by a link that is printed, once', async () => {
  const [one, two] = [await tested.people.firstAdministrator(), await tested.people.firstAdministrator()]
  const [first, second] = [tested.browser(), tested.browser()]
  await open(first, one!)
  await open(second, two!)
  const form = { name: 'Ada', login: 'ada', password, again: password }
  expect((await first.submit(form)).text).toContain('Your account is ready.')
  expect((await second.submit({ ...form, login: 'eve' })).text).toContain('used already')
  expect(await tested.people.firstAdministrator()).toBeUndefined()
  await first.get('/auth/sign-in')
  await first.submit({ login: 'ada', password })
  expect(first.page.text).toContain('Set up the second step')
  expect(await tested.people.accounts.list(10)).toMatchObject([{ role: 'platform-administrator', name: 'Ada' }])
})

test('whoever else has an account, the link makes an administrator while there is none', async () => {
  const link = await tested.people.firstAdministrator()
  await tested.people.create({ name: 'Bob', role: 'doctor', user: { type: 'Practitioner', id: 'bob' } })
  expect(await tested.people.firstAdministrator()).toBeDefined()
  const browser = tested.browser()
  await open(browser, link!)
  const user = { type: 'Practitioner', id: 'eve' }
  await tested.people.create({ name: 'Eve', role: 'tenant-administrator', user })
  expect((await browser.submit({ name: 'Ada', login: 'ada', password, again: password })).text).toContain(
    'used already',
  )
  expect(await tested.people.firstAdministrator()).toBeUndefined()
})

test('new credentials end sessions and the second factor of before', async () => {
  const account = await tested.people.create({
    name: 'Ada',
    role: 'hospital-administrator',
    user: { type: 'Practitioner', id: 'ada' },
    userName: 'ada',
    password,
  })
  const browser = tested.browser()
  await browser.get('/auth/sign-in')
  await browser.submit({ login: 'ada', password })
  const secret = /class="secret">([A-Z2-7 ]+)</.exec(browser.page.text)![1]!.replaceAll(' ', '')
  await browser.submit({ code: await generate({ secret, epoch: tested.now.at / 1000 }) })
  await browser.submit({ kept: '1' })
  const { link } = await tested.people.renew(account.subject)
  const other = tested.browser()
  await open(other, link)
  await other.submit({ password: 'eight grey geese', again: 'eight grey geese' })
  expect(other.page.text).toContain('Your account is ready.')
  expect((await browser.get('/auth/apps')).path).toBe('/auth/sign-in')
  expect((await browser.submit({ login: 'ada', password })).status).toBe(401)
  await browser.submit({ login: 'ada', password: 'eight grey geese' })
  expect(browser.page.text).toContain('Set up the second step')
  expect((await tested.people.bySubject(account.subject))!.revision).toBeGreaterThan(account.revision)
})

test('a link in an address leaks nowhere: no referrer, no cache, nothing loaded from elsewhere', async () => {
  const { link } = await tested.people.invite(invited)
  const { headers } = await tested.browser().get(below(link))
  expect(headers.get('referrer-policy')).toBe('no-referrer')
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('content-security-policy')).toContain("default-src 'none'; style-src 'self'")
})
