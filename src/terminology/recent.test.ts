import { expect, test } from '@jest/globals'
import { Recent } from './recent.js'

test('what was used longest ago goes first, by weight', () => {
  const recent = new Recent<string>(10)
  recent.set('a', 'A', 4)
  recent.set('b', 'B', 4)
  expect(recent.get('a')).toBe('A')
  recent.set('c', 'C', 4)
  expect([recent.get('a'), recent.get('b'), recent.get('c')]).toEqual(['A', undefined, 'C'])
})

test('what is heavier than all together is not kept, nor what it replaces', () => {
  const recent = new Recent<string>(10)
  recent.set('a', 'A', 4)
  recent.set('a', 'B', 11)
  expect(recent.get('a')).toBeUndefined()
})

test('a value that is replaced weighs once', () => {
  const recent = new Recent<number>(10)
  for (let i = 0; i < 100; i++) recent.set('a', i, 6)
  recent.set('b', 1, 4)
  expect([recent.get('a'), recent.get('b')]).toEqual([99, 1])
})
