import { expect, test } from '@jest/globals'
import { FhirError } from '../fhir/index.js'
import { parseParameters } from './parameters.js'
import { parsePrefer } from './prefer.js'

test.each([
  ['', []],
  [
    'a=1&b=2',
    [
      ['a', '1'],
      ['b', '2'],
    ],
  ],
  [
    'a=1&a=2',
    [
      ['a', '1'],
      ['a', '2'],
    ],
  ],
  ['a', [['a', '']]],
  ['a=', [['a', '']]],
  ['=a', [['', 'a']]],
  ['&&a=1&', [['a', '1']]],
  ['a=b=c', [['a', 'b=c']]],
  ['name%3Aexact=a%26b', [['name:exact', 'a&b']]],
  ['q=a+b%2Bc', [['q', 'a b+c']]],
  ['q=%F0%9F%98%80', [['q', '😀']]],
  [
    '__proto__=1&constructor=2',
    [
      ['__proto__', '1'],
      ['constructor', '2'],
    ],
  ],
])('%s', (text, expected) => expect(parseParameters(text, 100)).toEqual(expected))

test.each([['a=%'], ['a=%zz'], ['a=%FF'], ['%C0%80=1']])('%s is refused', (text) => {
  expect(() => parseParameters(text, 100)).toThrow(FhirError)
})

test('too many parameters are refused', () => {
  expect(() => parseParameters('a=1&'.repeat(101), 100)).toThrow(/100 parameters/)
  expect(parseParameters('a=1&'.repeat(100), 100)).toHaveLength(100)
})

test.each([
  [undefined, {}],
  ['return=minimal', { return: 'minimal' }],
  ['return=OperationOutcome', { return: 'OperationOutcome' }],
  ['return=operationoutcome, handling=lenient', { return: 'OperationOutcome', handling: 'lenient' }],
  ['handling="strict"; return=representation', { return: 'representation', handling: 'strict' }],
  ['respond-async, return=everything', {}],
  ['return=minimal, return=representation', { return: 'minimal' }],
])('Prefer: %s', (header, expected) => expect(parsePrefer(header)).toEqual(expected))
