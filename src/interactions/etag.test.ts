import { expect, test } from '@jest/globals'
import { etag, versionsIn } from './etag.js'

test.each([
  ['W/"23"', [23]],
  ['"23"', [23]],
  ['23', [23]],
  ['W/"1", W/"2"', [1, 2]],
  ['*', '*'],
  ['W/"abc"', []],
  ['W/"01"', []],
  ['', []],
])('%s names the versions %j', (header, versions) => expect(versionsIn(header)).toEqual(versions))

test('the tag of a version names that version', () => expect(versionsIn(etag(7))).toEqual([7]))
