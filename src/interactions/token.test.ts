import { randomBytes } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { anyone, reach } from '../access/index.js'
import { FhirError } from '../fhir/index.js'
import type { Reach } from '../search/index.js'
import type { Context } from './context.js'
import { seal, unseal } from './token.js'

const settings = { sealingKey: randomBytes(32) }
const contextOf = (id: string) => ({ caller: { id }, settings }) as unknown as Context
const mine = reach(anyone, 'search')
const state = { p: [['name', 'Ünal']], a: ['x', 3, null] }

const statusOf = (task: () => unknown): number | undefined => {
  try {
    task()
  } catch (error) {
    return error instanceof FhirError ? error.status : 500
  }
  return undefined
}

describe('paging tokens', () => {
  test('open to what was sealed', () =>
    expect(unseal(contextOf('a'), 'search', mine, seal(contextOf('a'), 'search', mine, state))).toEqual(state))

  test('show nothing of what they hold, and are never the same', () => {
    const token = seal(contextOf('a'), 'search', mine, state)
    expect(Buffer.from(token, 'base64url').toString('latin1')).not.toContain('name')
    expect(seal(contextOf('a'), 'search', mine, state)).not.toBe(token)
  })

  test('are no use to another caller, nor in another interaction', () => {
    const token = seal(contextOf('a'), 'search', mine, state)
    expect(statusOf(() => unseal(contextOf('b'), 'search', mine, token))).toBe(400)
    expect(statusOf(() => unseal(contextOf('a'), 'history', mine, token))).toBe(400)
  })

  test('are gone when the caller may see something else by now', () => {
    const token = seal(contextOf('a'), 'search', mine, state)
    const less = { ...mine, lasting: 'less' } as Reach
    expect(statusOf(() => unseal(contextOf('a'), 'search', less, token))).toBe(410)
  })

  test.each(['', 'x', '!!!', 'A'.repeat(38), 'A'.repeat(39), 'A'.repeat(5000)])('%j is refused', (token) =>
    expect(statusOf(() => unseal(contextOf('a'), 'search', mine, token))).toBe(400),
  )

  test('any changed byte is noticed', () => {
    const bytes = Buffer.from(seal(contextOf('a'), 'search', mine, state), 'base64url')
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes)
      changed[i]! ^= 1
      expect(statusOf(() => unseal(contextOf('a'), 'search', mine, changed.toString('base64url')))).toBe(400)
    }
  })
})
