import { expect, test } from '@jest/globals'
import { nearest } from './nearest.js'

test.each([
  ['brithDate', 'birthDate'],
  ['BirthDate', 'birthDate'],
  ['nmae', 'name'],
  ['names', 'name'],
  ['telecoms', 'telecom'],
  ['xyzzy', undefined],
  ['', undefined],
  ['x'.repeat(100_000), undefined],
])('%.20s is near to %s', (name, expected) => expect(nearest(name, ['name', 'birthDate', 'telecom'])).toBe(expected))
