/**
 * The pages in a real browser without script: at 320 pixels, by keyboard, and under their own content security policy.
 *
 * https://www.w3.org/TR/WCAG22/ (1.4.4 resize text, 1.4.10 reflow, 2.1.1 keyboard, 3.1.1 language, 3.3.2 labels)
 *
 * Needs a Chromium on the PATH; without one the tests are left out, because nothing else renders pages.
 */
import { beforeAll, expect, test } from '@jest/globals'
import { generate } from 'otplib'
import type { Page } from 'playwright-core'
import { chromiumOfTests, chromiumPath, inChromium } from '../chromium.js'
import { signInWorld } from './world.js'

const given = signInWorld()
const password = 'seven brown hens'

const device = chromiumOfTests()

let page: Page
const complaints: string[] = []

beforeAll(async () => {
  if (!chromiumPath) return
  page = await device({ javaScriptEnabled: false, viewport: { width: 320, height: 640 } })
  page.on('console', (message) => complaints.push(message.text()))
  page.on('request', (request) => {
    const { hostname } = new URL(request.url())
    if (hostname !== '127.0.0.1' && hostname !== 'localhost') complaints.push(`asked ${hostname}`)
  })
})

/** Runs in the page, whose types are not ours. */
const findings = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)]
  const root = document.documentElement
  const width = root.scrollWidth
  root.style.fontSize = '200%'
  const wide = root.scrollWidth
  root.style.fontSize = ''
  return {
    headings: all('h1').length,
    language: root.lang !== '' && root.dir !== '',
    styled: getComputedStyle(document.body).margin === '0px',
    unnamed: all('input:not([type=hidden])').filter((input) => input.labels.length === 0).length,
    small: all('button, input:not([type=hidden])').filter((each) => each.getBoundingClientRect().height < 24).length,
    width,
    wide,
  }
})()`

/** Nothing is wrong with the page for who does not see it well, or not at all. */
async function looked(): Promise<void> {
  const found = await page.evaluate(findings)
  expect(found).toEqual({ headings: 1, language: true, styled: true, unnamed: 0, small: 0, width: 320, wide: 320 })
}

inChromium('the pages', () => {
  test('an administrator accepts an invitation, sets up the second step and signs out, by keyboard alone', async () => {
    const { issuer, people, mail } = given()
    await people.invite({
      name: 'Ada',
      role: 'hospital-administrator',
      user: { type: 'Practitioner', id: 'ada' },
      organizations: ['a'],
      contact: 'ada@example.org',
    })
    while (mail.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    const link = /http:\S+/.exec(mail[0]!.text)![0].replace('localhost', '127.0.0.1')
    await page.goto(link)
    await looked()
    await tabTo('Continue')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#login')
    expect(page.url()).not.toContain('token')
    await looked()
    await page.fill('#login', 'ada')
    await page.fill('#password', password)
    await page.fill('#again', password)
    await page.keyboard.press('Enter')
    await page.waitForSelector('text=Your account is ready.')
    await page.click('text=Sign in')
    await page.waitForSelector('#password')
    await looked()
    expect(await page.evaluate('document.activeElement.id')).toBe('login')
    await page.keyboard.type('ada')
    await page.keyboard.press('Tab')
    await page.keyboard.type(password)
    await page.keyboard.press('Enter')
    await page.waitForSelector('.qr')
    await looked()
    const secret = (await page.textContent('.secret'))!.replace(/\s/g, '')
    await page.fill('#code', await generate({ secret }))
    await page.keyboard.press('Enter')
    await page.waitForSelector('.codes')
    await looked()
    await page.focus('#kept-1')
    await page.keyboard.press('Space')
    await tabTo('Continue')
    await page.keyboard.press('Enter')
    await page.waitForSelector('text=My apps')
    await looked()
    expect(await page.textContent('.who')).toBe('Ada as administrator of the hospital')
    await tabTo('Sign out')
    await page.keyboard.press('Enter')
    await page.waitForSelector('text=You are signed out.')
    await page.goto(`${issuer}/apps`)
    expect(page.url()).toContain('/sign-in')
    expect(complaints).toEqual([])
  }, 60_000)

  test.each([
    ['fr', 'Connexion'],
    ['pt', 'Entrar'],
    ['sw', 'Ingia'],
    ['en', 'Sign in'],
  ])('a person picks %s, and the pages after it are in it, too', async (language, title) => {
    await page.goto(`${given().issuer}/sign-in`)
    await page.click(`a[hreflang=${language}]`)
    for (const path of ['/sign-in', '/sign-in/contact', '/sign-in?language=xx']) {
      await page.goto(given().issuer + path)
      expect(await page.getAttribute('html', 'lang')).toBe(language)
      expect(await page.textContent('h1')).toBe(title)
      await looked()
    }
  })

  test('a wrong password is said where the reader of the screen finds it', async () => {
    await page.goto(`${given().issuer}/sign-in`)
    await page.fill('#login', 'nobody')
    await page.fill('#password', 'nine white cats')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[role=alert]')
    expect(await page.getAttribute('#password', 'aria-describedby')).toContain('alert')
    expect(await page.title()).toMatch(/^The user name or password is not right/)
    expect(await page.inputValue('#password')).toBe('')
    await looked()
  })
})

/** Goes on with Tab until a button of this name has the focus. */
async function tabTo(name: string): Promise<void> {
  for (let steps = 0; steps < 40; steps++) {
    await page.keyboard.press('Tab')
    if ((await page.evaluate('document.activeElement.textContent.trim()')) === name) return
  }
  throw new Error(`no way by keyboard to "${name}"`)
}
