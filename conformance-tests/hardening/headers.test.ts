/**
 * What every answer says to browsers, proxies and caches, and what no answer says.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get as getTls } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { certificate, key } from '../../src/access/testing.js'
import { startTestServer, type TestServer } from '../../src/testing.js'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({ CORS_ORIGINS: 'https://app.example', BODY_MAX: '1mb' })
  await put('Patient/grace', { resourceType: 'Patient', id: 'grace' })
  await put('Binary/page', {
    resourceType: 'Binary',
    id: 'page',
    contentType: 'text/html',
    data: Buffer.from('<script>alert(1)</script>').toString('base64'),
  })
})
afterAll(() => server.close())

const json = 'application/fhir+json'
const put = (path: string, resource: object) =>
  fetch(`${server.baseUrl}/${path}`, {
    method: 'PUT',
    headers: { 'Content-Type': json },
    body: JSON.stringify(resource),
  })

const requests: [name: string, path: string, init?: RequestInit][] = [
  ['a read', '/fhir/Patient/grace'],
  ['a search', '/fhir/Patient'],
  ['a history', '/fhir/_history'],
  ['a CapabilityStatement', '/fhir/metadata'],
  ['content', '/fhir/Binary/page'],
  ['content as a resource', '/fhir/Binary/page?_format=json'],
  ['XML', '/fhir/Patient/grace?_format=xml'],
  ['nothing found', '/fhir/Patient/nobody'],
  ['a path FHIR has not', '/fhir/%E0%A4'],
  ['a refused method', '/fhir/metadata', { method: 'DELETE' }],
  ['a refused body', '/fhir/Patient', { method: 'POST', headers: { 'Content-Type': json }, body: '{' }],
  ['a preflight', '/fhir/Patient', { method: 'OPTIONS', headers: { Origin: 'https://app.example' } }],
  [
    'a write',
    '/fhir/Patient',
    { method: 'POST', headers: { 'Content-Type': json }, body: '{"resourceType":"Patient"}' },
  ],
  ['a delete', '/fhir/Patient/nobody', { method: 'DELETE' }],
]

describe.each(requests)('%s', (_, path, init) => {
  test('is for no cache, no frame, and no browser that guesses', async () => {
    const { headers } = await fetch(server.origin + path, init)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'; sandbox")
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('vary')).toContain('Authorization')
  })
})

describe.each([
  ...requests,
  ['a page', '/'],
  ['a page there is not', '/elsewhere'],
  ['health', '/health'],
  ['metrics', '/metrics'],
] as typeof requests)('%s', (_, path, init) => {
  test('does not say what it is made with, and lets no page send cookies', async () => {
    const { headers } = await fetch(server.origin + path, init)
    for (const name of ['server', 'x-powered-by', 'access-control-allow-credentials', 'set-cookie'])
      expect(headers.get(name)).toBeNull()
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toContain("default-src '")
  })
})

test.each([[undefined], ['text/html'], ['*/*']])(
  'what was uploaded is a download and no page of ours (Accept: %s)',
  async (accept) => {
    const answer = await fetch(`${server.baseUrl}/Binary/page`, { headers: { ...(accept && { Accept: accept }) } })
    expect(answer.headers.get('content-type')).toBe('text/html')
    expect(answer.headers.get('content-disposition')).toBe('attachment')
    expect(answer.headers.get('content-security-policy')).toContain('sandbox')
  },
)

test.each([['text/html\r\nSet-Cookie: a=b'], ['text/html; charset=utf-8\u2028'], ['no type at all'], ['']])(
  'a contentType that is none (%j) is no header',
  async (contentType) => {
    await put('Binary/odd', { resourceType: 'Binary', id: 'odd', contentType, data: 'eA==' })
    const { headers } = await fetch(`${server.baseUrl}/Binary/odd`, { headers: { Accept: '*/*' } })
    expect(headers.get('set-cookie')).toBeNull()
    expect(headers.get('content-type')).toMatch(/^application\/(octet-stream|fhir\+json; charset=utf-8)$/)
  },
)

describe('CORS', () => {
  test.each([
    ['https://app.example', 'https://app.example'],
    ['https://evil.example', null],
    ['https://app.example.evil.example', null],
    ['http://app.example', null],
    ['null', null],
  ])('a page of %s may read: %s', async (origin, allowed) => {
    for (const method of ['GET', 'OPTIONS']) {
      const { headers } = await fetch(`${server.baseUrl}/Patient/grace`, { method, headers: { Origin: origin } })
      expect(headers.get('access-control-allow-origin')).toBe(allowed)
    }
  })
})

describe('a narrative', () => {
  const text = (div: string) => ({ status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${div}</div>` })
  test.each([
    ['<script>alert(1)</script>'],
    ['<img src="x" onerror="alert(1)"/>'],
    ['<a href="javascript:alert(1)">x</a>'],
    ['<form action="https://evil.example"><input name="pin"/></form>'],
    ['<iframe src="https://evil.example"/>'],
    ['<object data="https://evil.example"/>'],
    ['<p style="background: url(https://evil.example/seen)">x</p>'],
    ['<svg onload="alert(1)"/>'],
    ['<base href="https://evil.example/"/>x'],
    ['<meta http-equiv="refresh" content="0;url=https://evil.example"/>x'],
  ])('that would do something is refused: %s', async (div) => {
    for (const [path, resource] of [
      ['Patient/told', { resourceType: 'Patient', id: 'told', text: text(div) }],
      [
        'Patient/told',
        {
          resourceType: 'Patient',
          id: 'told',
          contained: [{ resourceType: 'Organization', id: 'a', text: text(div) }],
        },
      ],
      [
        'Composition/told',
        {
          resourceType: 'Composition',
          id: 'told',
          status: 'final',
          type: { text: 'x' },
          date: '2026',
          author: [{ display: 'x' }],
          title: 'x',
          section: [{ text: text(div) }],
        },
      ],
    ] as const) {
      const answer = await put(path, resource)
      expect([400, 422]).toContain(answer.status)
      const { issue } = (await answer.json()) as { issue: { expression: string[] }[] }
      expect(issue[0]?.expression[0]).toMatch(/text\.div$/)
    }
  })
})

describe('over TLS', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'))
    writeFileSync(join(folder, 'cert.pem'), certificate)
    writeFileSync(join(folder, 'key.pem'), key)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('browsers are told to stay there', async () => {
    const tls = await startTestServer({ TLS_CERT: join(folder, 'cert.pem'), TLS_KEY: join(folder, 'key.pem') })
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      getTls(`${tls.baseUrl}/metadata`, { ca: certificate }, (response) => {
        response.resume()
        resolve(response.headers)
      }).on('error', reject)
    })
    expect(tls.baseUrl).toMatch(/^https:\/\/localhost:/)
    expect(headers['strict-transport-security']).toBe('max-age=31536000')
    await tls.close()
  })
})
