import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { resourceTypes } from '../../src/fhir/index.js'
import type { TestServer } from '../../src/testing.js'
import { send, startAccessServer } from './callers.js'
import { sample } from './sample.js'

let server: TestServer
beforeAll(async () => {
  server = await startAccessServer()
})
afterAll(() => server.close())

test('a sample of every type is valid', async () => {
  const wrong: string[] = []
  for (const type of resourceTypes.filter((each) => each !== 'AuditEvent')) {
    const { status, text } = await send(server, undefined, 'PUT', `${type}/x`, { body: sample(type, 'x') })
    if (status !== 201) wrong.push(`${type}: ${text}`)
  }
  expect(wrong).toEqual([])
})
