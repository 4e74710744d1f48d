/**
 * A server for the tests of a file about https://hl7.org/fhir/R4/http.html, and what they ask it with.
 */
import { afterAll, beforeAll, expect } from '@jest/globals'
import supertest from 'supertest'
import { startTestServer, type TestServer } from '../testing.js'

export let server: TestServer
export const api = () => supertest(server.fhir)

beforeAll(async () => {
  server = await startTestServer({ BODY_MAX: '1mb', URL_MAX: '4096', CORS_ORIGINS: 'https://app.example' })
})
afterAll(() => server.close())

export const json = 'application/fhir+json'
export const patient = (more: object = {}) => ({
  resourceType: 'Patient',
  name: [{ family: 'Okello', given: ['Grace'] }],
  ...more,
})

export async function created(resource: object = patient()): Promise<{ id: string; url: string }> {
  const { resourceType } = resource as { resourceType: string }
  const { body } = await api().post(`/${resourceType}`).set('Content-Type', json).send(resource).expect(201)
  return { id: body.id, url: `/${resourceType}/${body.id}` }
}

/** supertest leaves types it does not know unread; this reads all as bytes. */
export const bytes = (request: supertest.Test) =>
  request.buffer(true).parse((response, done) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => done(null, Buffer.concat(chunks)))
  })

/** A link of a Bundle, below the base. */
export const linkOf = ({ body }: supertest.Response, relation: string): string | undefined =>
  (body.link as { relation: string; url: string }[])
    .find((link) => link.relation === relation)
    ?.url.replace(server.baseUrl, '')

export function expectOutcome({ body }: { body: Record<string, unknown> }, code?: string) {
  const issues = body['issue'] as { severity: string; code: string; diagnostics: string }[]
  expect(body['resourceType']).toBe('OperationOutcome')
  expect(issues.length).toBeGreaterThan(0)
  for (const { severity, diagnostics } of issues) {
    expect(severity).toMatch(/^(fatal|error|warning|information)$/)
    expect(diagnostics.length).toBeGreaterThan(10)
  }
  if (code !== undefined) expect(issues[0]!.code).toBe(code)
}
