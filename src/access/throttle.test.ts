import { describe, expect, test } from '@jest/globals'
import { Throttle } from './throttle.js'

const rate = { perSecond: 10, burst: 20 }

describe('a throttle', () => {
  test('lets a burst through, then the rate, and says how long to wait', () => {
    let now = 1_000_000
    const throttle = new Throttle(() => now)
    const takes = (count: number) => Array.from({ length: count }, () => throttle.take('a', rate))
    expect(takes(20)).toEqual(new Array(20).fill(0))
    expect(throttle.take('a', rate)).toBe(1)
    now += 100
    expect(takes(2)).toEqual([0, 1])
    now += 500
    expect(takes(6)).toEqual([0, 0, 0, 0, 0, 1])
    now += 60_000
    expect(takes(21)).toEqual([...new Array(20).fill(0), 1])
  })

  test('keys do not share', () => {
    const throttle = new Throttle(() => 0)
    for (let turn = 0; turn < 20; turn++) throttle.take('a', rate)
    expect([throttle.take('a', rate), throttle.take('b', rate)]).toEqual([1, 0])
  })

  test('five a minute means twelve seconds between', () => {
    let now = 0
    const throttle = new Throttle(() => now)
    const perMinute = { perSecond: 5 / 60, burst: 5 }
    expect(Array.from({ length: 6 }, () => throttle.take('a', perMinute))).toEqual([0, 0, 0, 0, 0, 12])
    now += 12_000
    expect(throttle.take('a', perMinute)).toBe(0)
  })

  test('remembers no more than its limit, and first forgets who has paid off', () => {
    let now = 0
    const throttle = new Throttle(() => now, 50)
    for (let turn = 0; turn < 20; turn++) throttle.take('greedy', rate)
    for (let key = 0; key < 200; key++) throttle.take(`${key}`, rate)
    expect(throttle.size).toBeLessThanOrEqual(50)
    now += 1000
    for (let turn = 0; turn < 11; turn++) throttle.take('greedy', rate)
    now += 500
    for (let key = 0; key < 45; key++) throttle.take(`later ${key}`, rate)
    expect(throttle.size).toBeLessThanOrEqual(50)
  })
})
