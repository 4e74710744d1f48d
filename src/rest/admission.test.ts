import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { anyone, type Caller, server } from '../access/index.js'
import { FhirError } from '../fhir/index.js'
import { type Admit, admission } from './admission.js'

const rates = { client: 100, patient: 20, address: 10 }
const from = (address: string) => ({ socket: { remoteAddress: address } }) as unknown as IncomingMessage
const admit = (): Admit =>
  admission(
    rates,
    ({ socket }) => socket.remoteAddress!,
    () => 0,
  )
const person = (more: Partial<Caller> = {}): Caller => ({
  ...anyone,
  kind: 'person',
  subject: 'amina',
  client: 'ehr',
  user: { type: 'Practitioner', id: '1' },
  ...more,
})

/** How many requests are let through before one is refused. */
function passes(ask: () => void): number {
  for (let count = 0; count < 10_000; count++)
    try {
      ask()
    } catch (error) {
      if (!(error instanceof FhirError)) throw error
      expect([error.status, error.options.headers]).toEqual([429, { 'Retry-After': expect.stringMatching(/^\d+$/) }])
      return count
    }
  return Number.POSITIVE_INFINITY
}

describe('at once may come', () => {
  test.each<[string, Caller | undefined, number]>([
    ['200 of a clinician', person(), 200],
    ['200 of a system', person({ kind: 'system' }), 200],
    ['40 of a patient', person({ user: { type: 'Patient', id: '1' } }), 40],
    ['40 of a guardian', person({ user: { type: 'RelatedPerson', id: '1' } }), 40],
    ['20 of an address nobody is known at', undefined, 20],
    ['any number of the server itself', server('default', 'reindex'), Number.POSITIVE_INFINITY],
    ['any number while AUTH=off', anyone, Number.POSITIVE_INFINITY],
  ])('%s', (_, caller, expected) => {
    const ask = admit()
    expect(passes(() => ask(caller, from('203.0.113.1')))).toBe(expected)
  })
})

test.each<[string, Caller | undefined, Caller | undefined, string]>([
  ['people', person(), person({ subject: 'baraka' }), '203.0.113.1'],
  ['apps of one person', person(), person({ client: 'growth-chart' }), '203.0.113.1'],
  ['tenants', person(), person({ tenant: 'north' }), '203.0.113.1'],
  ['addresses', undefined, undefined, '203.0.113.2'],
])('%s do not wait for each other', (_, one, other, address) => {
  const ask = admit()
  passes(() => ask(one, from('203.0.113.1')))
  expect(passes(() => ask(other, from(address)))).toBeGreaterThan(0)
})

test('a new address of the same IPv6 network is no new beginning', () => {
  const ask = admit()
  passes(() => ask(undefined, from('2001:db8::1')))
  expect(passes(() => ask(undefined, from('2001:db8::2')))).toBe(0)
})
