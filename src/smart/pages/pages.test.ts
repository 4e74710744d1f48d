import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { authorizePage } from './authorize-page.js'
import { pages } from './pages.js'

const key = new Uint8Array(32)
const options = { tenant: 'default', site: 'Hospital <A>', base: '/oauth', key }

describe('pages that people reach by https', () => {
  const secure = pages({ ...options, secure: true })
  const server = createServer(async (request, response) => {
    if (secure.asset(request, response)) return
    const visit = secure.visit(request, response)
    if (request.method === 'POST' && !(await visit.fields())) return
    const leadsTo = request.headers['x-leads-to'] as string | undefined
    visit.sessionIs('new-session')
    visit.show({ title: 'Title', body: visit.form('/here', 'a field'), leadsTo })
  })
  let origin: string
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })

  test('have cookies no other host can set, and are asked for by https only', async () => {
    const { headers } = await fetch(`${origin}/oauth/page`)
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000')
    expect(headers.getSetCookie()).toEqual([
      '__Host-session.default=new-session; Path=/; HttpOnly; SameSite=Lax; Secure',
    ])
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  test.each([
    ['https://app.example/back?x=1', "'self' https://app.example"],
    ['http://localhost:3000/back', "'self' http://localhost:3000"],
    ['com.example.app:/back', "'self' com.example.app:"],
    ['https://app.example/; script-src *', "'self' https://app.example"],
    ['nonsense', "'self'"],
  ])('a form may lead to %s', async (leadsTo, source) => {
    const { headers } = await fetch(`${origin}/oauth/page`, { headers: { 'x-leads-to': leadsTo } })
    expect(headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action ${source}`,
    )
  })

  test('the stylesheet is kept for ever, and there is but one', async () => {
    const text = await (await fetch(`${origin}/oauth/page`)).text()
    const links = [...text.matchAll(/(?:href|src)="([^"?]+\.[a-z]+)"/g)].map(([, href]) => href)
    expect(links).toHaveLength(1)
    const style = await fetch(origin + links[0])
    expect([style.status, style.headers.get('content-type')]).toEqual([200, 'text/css; charset=utf-8'])
    expect(style.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(text).not.toMatch(/<script|style=|onclick|javascript:/)
    expect(text).toContain('Hospital &lt;A&gt;')
  })
})

test('what an app calls itself, and what it asks for, is text', () => {
  const nasty = '"><script>alert(1)</script>'
  const request = { headers: {}, url: '/oauth/page' }
  const response = { setHeader: () => {}, removeHeader: () => {}, appendHeader: () => {} }
  const visit = pages({ ...options, secure: false }).visit(request as never, response as never)
  const { title, body } = authorizePage(visit, {
    action: '/here',
    app: { name: nasty, redirectUri: `https://app.example/${nasty}`, checked: false },
    scopes: [nasty, `patient/Observation.rs?code=${nasty}`, 'patient/*.rs'],
    patient: nasty,
  })
  expect(title).toContain(nasty)
  expect(String(body)).not.toContain('<script>')
})
