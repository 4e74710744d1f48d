import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { compress, encodingOf } from './compress.js'

test.each([
  [undefined, undefined],
  ['', undefined],
  ['identity', undefined],
  ['gzip', 'gzip'],
  ['br', 'br'],
  ['gzip, deflate, br', 'br'],
  ['gzip;q=1.0, br;q=0.5', 'gzip'],
  ['gzip;q=0, br;q=0', undefined],
  ['*', 'br'],
  ['GZIP', 'gzip'],
  ['deflate', undefined],
  ['br;q=zero', undefined],
])('Accept-Encoding: %s', (header, expected) => expect(encodingOf(header)).toBe(expected))

test('what was compressed comes back', async () => {
  const body = Buffer.from('viral load '.repeat(1000))
  expect(gunzipSync(await compress(body, 'gzip'))).toEqual(body)
  expect(brotliDecompressSync(await compress(body, 'br'))).toEqual(body)
})
