import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { startPeople, type TestPeople } from './testing.js'

let tested: TestPeople
beforeAll(async () => {
  tested = await startPeople()
  const user = { type: 'Practitioner', id: 'ann' }
  await tested.people.create({ name: 'Ann', role: 'doctor', user, userName: 'ann', password: 'seven brown hens' })
})
afterAll(() => tested.close())

const paths = [
  '/auth/sign-in',
  '/auth/sign-in/contact',
  '/auth/sign-in/code',
  '/auth/sign-in/again',
  '/auth/sign-in/step',
  '/auth/sign-in/recovery',
  '/auth/apps',
  '/auth/signed-out',
  '/auth/invitation',
  '/auth/invitation/accept',
  '/auth/api/sign-in',
  '/auth/api/otp/request',
  '/auth/api/otp/verify',
]

const names = [
  'login',
  'password',
  'contact',
  'code',
  'recovery',
  'subject',
  'token',
  'kept',
  'username',
  'step',
  'end',
  'revoke',
]
const nasty = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '__proto__',
    'constructor',
    'ann',
    '000000',
    '+256700000001',
    'a@b.example',
    '\u0000',
    '\ud800',
    '%',
    '%zz',
  ),
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.constant('x'.repeat(3000)),
)
const json = fc.oneof(
  nasty,
  fc.integer(),
  fc.constant(null),
  fc.boolean(),
  fc.array(nasty, { maxLength: 2 }),
  fc.dictionary(nasty, nasty, { maxKeys: 2 }),
)

test('whatever is sent, nothing answers 5xx and nothing breaks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS'),
      fc.dictionary(fc.constantFrom(...names), json, { maxKeys: 4 }),
      fc.record({
        type: fc.constantFrom('form', 'json', 'text', 'none'),
        cookie: nasty,
        query: nasty,
        language: nasty,
      }),
      async (path, method, fields, { type, cookie, query, language }) => {
        const browser = tested.browser()
        await browser.get('/auth/sign-in')
        const form = /name="form" value="([^"]*)"/.exec(browser.page.text)![1]!
        const printable = (text: string) => text.replace(/[^\x21-\x7e]/g, '?')
        const pairs = Object.entries(fields).map(([name, value]): [string, string] => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ])
        const body =
          type === 'json' ? JSON.stringify(fields) : new URLSearchParams([['form', form], ...pairs]).toString()
        const types: Record<string, string> = {
          form: 'application/x-www-form-urlencoded',
          json: 'application/json',
          text: 'text/plain',
        }
        const response = await fetch(
          new URL(`${path}?${encodeURI(query.replace(/[\ud800-\udfff]/g, '?'))}`, tested.url),
          {
            method,
            redirect: 'manual',
            headers: {
              Cookie:
                [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ') +
                `; session.default=${printable(cookie)}`,
              'Accept-Language': printable(language),
              ...(types[type] !== undefined && { 'Content-Type': types[type] }),
            },
            ...(['POST', 'PUT'].includes(method) && { body }),
          },
        )
        await response.text()
        expect(response.status).toBeLessThan(500)
      },
    ),
    { numRuns: 250 },
  )
  expect(tested.reports).toEqual([])
}, 120_000)
