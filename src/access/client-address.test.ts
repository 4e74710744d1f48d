import type { IncomingMessage } from 'node:http'
import { BlockList } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { addressFrom, networkOf } from './client-address.js'

const request = (remoteAddress: string, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage

const proxies = new BlockList()
proxies.addAddress('10.0.0.1')
proxies.addAddress('::1', 'ipv6')
proxies.addSubnet('10.9.0.0', 16)

describe('the address of a request', () => {
  test.each([
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['::ffff:10.0.0.1', '203.0.113.5', '203.0.113.5'],
    ['::1', '203.0.113.5', '203.0.113.5'],
    ['10.0.0.1', '2001:db8::7', '2001:db8::7'],
    ['10.0.0.1', '[2001:db8::7]:443', '2001:db8::7'],
    ['10.0.0.1', '203.0.113.5:1234', '203.0.113.5'],
    // What the client wrote itself stands left of what the proxy saw.
    ['10.0.0.1', '127.0.0.1, 203.0.113.5', '203.0.113.5'],
    ['10.0.0.1', '198.51.100.1, 203.0.113.5, 10.9.3.3', '203.0.113.5'],
    ['10.0.0.1', '10.9.3.3', '10.9.3.3'],
    ['10.0.0.1', 'unknown', '10.0.0.1'],
    ['10.0.0.1', '<script>', '10.0.0.1'],
    ['10.0.0.1', ',,', '10.0.0.1'],
    ['203.0.113.9', '198.51.100.1', '203.0.113.9'],
  ])('from %s with X-Forwarded-For %s is %s', (peer, forwarded, expected) =>
    expect(addressFrom(proxies)(request(peer, forwarded))).toBe(expected),
  )

  test('is the peer where no proxy was named', () =>
    expect(addressFrom(undefined)(request('::ffff:10.0.0.1', '203.0.113.5'))).toBe('10.0.0.1'))
})

test.each([
  ['203.0.113.5', '203.0.113.5'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::7', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
])('the network of %s is %s', (address, expected) => expect(networkOf(address)).toBe(expected))
