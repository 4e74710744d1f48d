import { expect, test } from '@jest/globals'
import { depthOf, parseJson, withoutDecimals } from './index.js'

test.each([
  ['1', 0],
  ['1.0', 0],
  ['"a"', 0],
  ['null', 0],
  ['{}', 1],
  ['[]', 1],
  ['[1,[2],{"a":[]}]', 3],
  ['{"a":1,"b":{"c":1.0}}', 2],
])('%s is %d deep', (text, depth) => expect(depthOf(parseJson(text))).toBe(depth))

test('a tree without decimals is itself, one with decimals a copy with numbers, made once', () => {
  const plain = parseJson('{"a":[1,"b",null,{"c":true}]}')
  expect(withoutDecimals(plain)).toBe(plain)
  const exact = parseJson('{"a":[1.00,{"b":-0}],"c":{"d":[1]}}')
  expect(withoutDecimals(exact)).toEqual({ a: [1, { b: -0 }], c: { d: [1] } })
  expect(withoutDecimals(exact)).toBe(withoutDecimals(exact))
  expect(withoutDecimals(parseJson('1.0'))).toBe(1)
  expect(withoutDecimals('a')).toBe('a')
  expect(withoutDecimals(null)).toBe(null)
})
