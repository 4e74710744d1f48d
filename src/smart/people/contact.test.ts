import { describe, expect, test } from '@jest/globals'
import { networkOf } from './browser.js'
import { contactOf, loginOf, userNameOf, veiled } from './contact.js'
import { newRecoveryCodes, newSecret, recoveryText } from './totp.js'

test.each([
  ['Rose@Example.org ', 'rose@example.org'],
  ['+256 700-000 (001)', '+256700000001'],
  ['rose@example', undefined],
  ['0700000001', undefined],
  ['+0700000001', undefined],
  ['rose@example.org, eve@example.org', undefined],
  ['rose@example.org\r\nBcc: eve@example.org', undefined],
  ['"rose"@example.org', undefined],
  [`${'x'.repeat(300)}@example.org`, undefined],
  ['', undefined],
])('%j is %s', (typed, to) => expect(contactOf(typed)?.to).toBe(to))

test.each([
  [' ANN.Okello ', 'ann.okello'],
  ['Ｎell', 'nell'],
  ['an', undefined],
  ['a b', undefined],
  ['<script>', undefined],
])('the user name %j is %s', (typed, name) => expect(userNameOf(typed)).toBe(name))

test('what is typed to sign in is read as an address, a number or a name', () => {
  expect(['Rose@Example.org', '+256 700 000 001', ' ANN '].map(loginOf)).toEqual([
    'rose@example.org',
    '+256700000001',
    'ann',
  ])
})

test('a contact is shown so that its owner knows it and others learn little', () => {
  expect(veiled({ kind: 'email', to: 'rose@example.org' })).toBe('r…@example.org')
  expect(veiled({ kind: 'sms', to: '+256700000001' })).toBe('+256…01')
})

describe('networks', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:DB8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ])('%s is in %s', (address, network) => expect(networkOf(address)).toBe(network))
})

test('secrets and recovery codes are long and all different', () => {
  const codes = Array.from({ length: 20 }, newRecoveryCodes).flat()
  expect(new Set(codes).size).toBe(200)
  for (const code of codes) expect(code).toMatch(/^[a-hjkmnp-z2-9]{5}-[a-hjkmnp-z2-9]{5}$/)
  expect(recoveryText(' K7DM2 p9xwt')).toBe('k7dm2p9xwt')
  expect(newSecret()).toMatch(/^[A-Z2-7]{32}$/)
})
