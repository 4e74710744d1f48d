import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { overload } from './overload.js'

let now = 0
beforeEach(() => {
  now = 0
  jest.useFakeTimers()
})
afterEach(() => {
  jest.useRealTimers()
})

/** Lets timers come so late, one after the other. */
const timers = (...lates: number[]) => {
  for (const late of lates) {
    now += 100 + late
    jest.advanceTimersByTime(100)
  }
}

test('is over when it stays behind, not for one long step, and ends when it catches up', () => {
  const load = overload(() => now)
  timers(0, 2000, 0, 0)
  expect(load.isOver()).toBe(false)
  timers(600, 600)
  expect(load.isOver()).toBe(false)
  timers(600)
  expect(load.isOver()).toBe(true)
  timers(20)
  expect(load.isOver()).toBe(false)
  load.close()
})
