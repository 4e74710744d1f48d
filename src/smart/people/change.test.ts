import { expect, test } from '@jest/globals'
import type { Secrets } from '../../store/index.js'
import { attempts } from './attempts.js'
import { change } from './change.js'

/** Another process is quicker a few times, and takes the number up by ten each time. */
function contended(times: number): { secrets: Secrets; kept: Map<string, string> } {
  const kept = new Map<string, string>()
  let left = times
  const secrets = {
    get: async (key: string) => kept.get(key),
    swap: async (key: string, was: string | undefined, value: string) => {
      if (left-- > 0) kept.set(key, String(Number(kept.get(key) ?? '0') + 10))
      if (kept.get(key) !== was) return false
      kept.set(key, value)
      return true
    },
  } as Secrets
  return { secrets, kept }
}

const addOne = (was = 0) => ({ now: was + 1, answer: was + 1 })

test('what another process did first is seen, and nothing of it is lost', async () => {
  const { secrets, kept } = contended(3)
  expect(await change(secrets, 'n', addOne)).toBe(31)
  expect(kept.get('n')).toBe('31')
})

test('a hundred at once in one process each take their turn', async () => {
  const { secrets } = contended(5)
  const answers = await Promise.all(Array.from({ length: 100 }, () => change(secrets, 'n', addOne)))
  expect(new Set(answers).size).toBe(100)
  expect(Math.max(...answers)).toBe(150)
})

test('whoever always comes too late is told to try again', async () => {
  const { secrets } = contended(Number.POSITIVE_INFINITY)
  await expect(change(secrets, 'n', addOne)).rejects.toMatchObject({ kind: 'busy' })
})

test('what is counted is counted across processes, each with its own clock of tries', async () => {
  const { secrets } = contended(0)
  const limit = { count: 3, windowMs: 1000 }
  let now = 0
  const [one, two] = [attempts(secrets, () => now), attempts(secrets, () => now)]
  await one.count('k', limit)
  await two.count('k', limit)
  const third = await one.count('k', limit)
  await expect(two.count('k', limit)).rejects.toMatchObject({ kind: 'tooMany', waitMs: 1000 })
  await third.undo()
  await two.count('k', limit)
  now = 1001
  await one.check('k', limit)
})
