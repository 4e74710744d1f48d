/**
 * fhirclient in a real browser, unchanged: apps launch, people sign in on our pages, and the browser's own rules hold.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 * https://docs.smarthealthit.org/client-js/
 *
 * Needs a Chromium on the PATH; without one the tests are left out, because nothing else has a browser's rules.
 */
import { expect, test } from '@jest/globals'
import { generate } from 'otplib'
import type { Page } from 'playwright-core'
import { chromiumOfTests, inChromium } from '../chromium.js'
import type { BrowserApp } from './browser-app.js'
import { browserWorld, password } from './browser-world.js'

inChromium('fhirclient', () => {
  const given = browserWorld()
  const device = chromiumOfTests()

  const launchStandalone = (page: Page, client: string, scope: string) =>
    page.goto(given().app.launchUri({ client, scope, iss: given().base }))

  test('the link that was printed leads the first administrator to a signed-in page, whoever else has an account', async () => {
    const page = await device({ javaScriptEnabled: false })
    await page.goto(given().first)
    await press(page, 'Continue')
    await page.fill('#name', 'Grace Okello')
    await page.fill('#login', 'grace')
    await page.fill('#password', password)
    await page.fill('#again', password)
    await page.keyboard.press('Enter')
    await page.click('main >> text=Sign in')
    await signIn(page, 'grace')
    const secret = (await page.textContent('.secret'))!.replace(/\s/g, '')
    await page.fill('#code', await generate({ secret }))
    await page.keyboard.press('Enter')
    await page.waitForSelector('.codes')
    expect(await page.locator('.codes li').count()).toBe(10)
    await page.check('#kept-1')
    await press(page, 'Continue')
    expect(await page.textContent('h1')).toBe('My apps')
    expect(await page.textContent('.who')).toBe('Grace Okello as system administrator')
    await page.goto(given().first)
    expect(await page.textContent('main')).toContain('was used already')
  })

  test('a doctor launches an app standalone, chooses the patient, and the app works', async () => {
    const page = await device()
    const client = await given().register()
    await launchStandalone(page, client, 'launch/patient openid fhirUser offline_access patient/*.rs')
    await signIn(page, 'bob')
    await choose(page, 'bello', 'Test Bello')
    await press(page, 'Allow')
    await ready(page)
    expect(await inApp(page, 'client.patient.read()')).toMatchObject({ resourceType: 'Patient', id: 'ben' })
    expect(await inApp(page, 'client.user.read()')).toMatchObject({ resourceType: 'Practitioner', id: 'bob' })
    expect(await inApp(page, 'client.patient.request("Observation")')).toMatchObject({ total: 2 })
    expect(await inApp(page, 'client.request("Observation?patient=ada")')).toMatchObject({ total: 0 })
    const before = await inApp(page, 'client.state.tokenResponse.access_token')
    await inApp(page, 'client.refresh().then(() => 0)')
    expect(await inApp(page, 'client.state.tokenResponse.access_token')).not.toBe(before)
    expect(await inApp(page, 'client.patient.read()')).toMatchObject({ id: 'ben' })
  })

  test('a page of another origin reads nothing, even with the token', async () => {
    const page = await device()
    await given().register()
    const token = await given().mint({ user: 'Patient/ada', role: 'patient' })
    expect(await fetched(page, given().app, given().base, token)).toBe('200 for ada')
    expect(await fetched(page, given().stranger, given().base, token)).toBe('Failed to fetch')
  })

  test('the EHR launches an app for a patient and an encounter, and nobody is asked for them again', async () => {
    const page = await device()
    const { app, base, issuer, bob } = given()
    const client = 'ehr-app'
    const scope = 'launch openid fhirUser patient/*.rs'
    await given().register({ id: client, launchUri: app.launchUri({ client, scope }) })
    const ehr = await given().mint({
      subject: bob,
      user: 'Practitioner/bob',
      role: 'doctor',
      organizations: ['general'],
      scope: 'user/*.cruds',
    })
    const answer = await fetch(`${issuer}/launch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ehr}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        client_id: client,
        patient: 'ben',
        encounter: 'visit-ben',
        need_patient_banner: false,
        intent: 'order-review',
      }),
    })
    const { launch_url } = (await answer.json()) as { launch_url: string }
    expect(new URL(launch_url).searchParams.get('iss')).toBe(base)
    await page.goto(launch_url)
    await signIn(page, 'bob')
    expect(await page.textContent('h1')).toContain('Growth chart')
    await press(page, 'Allow')
    await ready(page)
    expect(await inApp(page, '[client.patient.id, client.encounter.id, client.getFhirUser()]')).toEqual([
      'ben',
      'visit-ben',
      'Practitioner/bob',
    ])
    expect(await inApp(page, 'client.encounter.read()')).toMatchObject({ id: 'visit-ben' })
    expect(await inApp(page, 'client.state.tokenResponse')).toMatchObject({
      need_patient_banner: false,
      intent: 'order-review',
    })
    // A launch is for one use: the address in the history of the browser opens nothing.
    await page.goto(launch_url)
    expect(await refused(page)).toMatch(/launch/)
  })

  test('a patient signs in with a code and sees their own record, and nobody else', async () => {
    const page = await device()
    const client = await given().register()
    await launchStandalone(page, client, 'launch/patient openid fhirUser patient/*.rs')
    await page.click('text=sign in with a code')
    await page.fill('#contact', 'ada@example.org')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#code')
    await page.fill('#code', await given().codeTo('ada@example.org'))
    await page.keyboard.press('Enter')
    await press(page, 'Allow')
    await ready(page)
    expect(await inApp(page, 'client.patient.read()')).toMatchObject({ id: 'ada' })
    expect(await inApp(page, 'client.request("Patient")')).toMatchObject({ total: 1 })
    expect(await inApp(page, status('Patient/ben'))).toBe(404)
    expect(await inApp(page, status('Observation/laboratory-ben'))).toBe(404)
    expect(await inApp(page, status('Observation/laboratory-ada'))).toBe(200)
  })

  test('a person leaves scopes out, and takes the app back: its next request is refused', async () => {
    const page = await device()
    const client = await given().register({ name: 'Curious app' })
    await launchStandalone(page, client, 'launch/patient patient/Patient.rs patient/Observation.rs offline_access')
    await signIn(page, 'bob')
    await choose(page, 'amin', 'Test Amin')
    await page.uncheck('[value="patient/Observation.rs"]')
    await press(page, 'Allow')
    await ready(page)
    expect(await inApp(page, 'client.state.tokenResponse.scope.split(" ").sort()')).toEqual([
      'launch/patient',
      'offline_access',
      'patient/Patient.rs',
    ])
    expect(await inApp(page, status('Observation?patient=ada'))).toBe(403)
    expect(await inApp(page, status('Patient/ada'))).toBe(200)
    const own = await page.context().newPage()
    await own.goto(`${given().issuer}/apps`)
    expect(await own.textContent('.card')).toContain('Curious app')
    expect(await own.textContent('.card')).toContain('Test Amin')
    await own.click('.card >> button')
    expect(await own.textContent('main')).not.toContain('Curious app')
    expect(await inApp(page, status('Patient/ada'))).toBe(401)
  })

  test('an app that is denied is told so', async () => {
    const page = await device()
    const client = await given().register()
    await launchStandalone(page, client, 'openid fhirUser user/*.rs')
    await signIn(page, 'bob')
    await press(page, 'Do not allow')
    await page.waitForURL(/error=access_denied/)
    expect(await refused(page)).toMatch(/did not allow/)
  })
})

async function signIn(page: Page, userName: string): Promise<void> {
  await page.fill('#login', userName)
  await page.fill('#password', password)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#password', { state: 'detached' })
}

const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name, exact: true }).click()

async function choose(page: Page, words: string, name: string): Promise<void> {
  await page.fill('#search', words)
  await page.keyboard.press('Enter')
  await page.check(`text=${name}`)
  await press(page, 'Continue')
}

/** The app came back with a token. */
async function ready(page: Page): Promise<void> {
  await page.waitForSelector('html[data-app]', { state: 'attached' })
  expect(await page.getAttribute('html', 'data-app')).toBe('ready')
}

/** Why the app got none. */
async function refused(page: Page): Promise<string> {
  await page.waitForSelector('html[data-app]', { state: 'attached' })
  return (await page.getAttribute('html', 'data-app')) ?? ''
}

/** Runs in the app, whose types are not ours. */
const inApp = (page: Page, expression: string): Promise<unknown> => page.evaluate(expression)

const status = (path: string): string =>
  `client.request('${path}').then(() => 200, (error) => error.status ?? error.statusCode)`

async function fetched(page: Page, { origin }: BrowserApp, base: string, token: string): Promise<unknown> {
  await page.goto(`${origin}/empty.html`)
  return page.evaluate(
    ({ url, token }) =>
      fetch(url, { headers: { authorization: `Bearer ${token}` } }).then(
        async (response) => `${response.status} for ${((await response.json()) as { id: string }).id}`,
        (error: Error) => error.message,
      ),
    { url: `${base}/Patient/ada`, token },
  )
}
