import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { FhirError } from '../fhir/index.js'
import { readParameters, writeParameters } from './query-string.js'

test.each<[string, [string, string][]]>([
  ['', []],
  ['?', []],
  ['a=b', [['a', 'b']]],
  [
    '?a=b&a=c',
    [
      ['a', 'b'],
      ['a', 'c'],
    ],
  ],
  ['a', [['a', '']]],
  ['a=', [['a', '']]],
  ['a=b=c', [['a', 'b=c']]],
  ['&&a=b&', [['a', 'b']]],
  ['name=J%C3%B6rg+M%2B', [['name', 'Jörg M+']]],
  ['%5Fid=%F0%9F%98%80', [['_id', '😀']]],
  ['code=http://loinc.org|1%7C2', [['code', 'http://loinc.org|1|2']]],
])('%s', (text, parameters) => expect(readParameters(text)).toEqual(parameters))

test.each(['a=%', 'a=%1', 'a=%zz', 'a=%C3', 'a=%C3%28', 'a=%ED%A0%80', 'a=%C0%AF', '%=a', '=a', '=', 'a=%F0%9F%98'])(
  '%s is refused',
  (text) => expect(() => readParameters(text)).toThrow(FhirError),
)

test('too much is refused', () => {
  expect(() => readParameters('a=b&'.repeat(1001))).toThrow('more than 1000')
  expect(() => readParameters(`a=${'b'.repeat(1_000_001)}`)).toThrow('longer than')
})

test('what is written is read again', () =>
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'binary' }))),
      (parameters) => {
        expect(readParameters(writeParameters(parameters))).toEqual(parameters)
      },
    ),
  ))

test('a link of a search stays readable', () =>
  expect(
    writeParameters([
      ['code', 'http://loinc.org|1,b$c'],
      ['name', 'a b&c=d+e'],
    ]),
  ).toBe('code=http://loinc.org%7C1,b$c&name=a%20b%26c%3Dd%2Be'))
