/**
 * The ordered map against a plain one, with snapshots kept and both sides changed afterwards.
 */
import { expect, test } from '@jest/globals'
import { Tree } from './tree.mjs'

function dice(seed) {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % n
  }
}

const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

test.each([3, 4, 5])('seed %i: it holds what a map holds, and so does every snapshot', (seed) => {
  const roll = dice(seed)
  const sides = [{ tree: new Tree(), map: new Map(), owner: {} }]
  for (let step = 0; step < 20_000; step++) {
    const side = sides[roll(sides.length)]
    const key = `k${roll(900)}`
    if (roll(3) === 0) expect(side.tree.delete(key, side.owner)).toBe(side.map.delete(key))
    else {
      side.tree.set(key, step, side.owner)
      side.map.set(key, step)
    }
    if (step % 4000 === 3999) {
      sides.push({ tree: side.tree.clone(), map: new Map(side.map), owner: {} })
      side.owner = {}
    }
  }
  for (const { tree, map } of sides) {
    expect([...tree.entries()]).toEqual(sorted(map))
    expect(tree.size).toBe(map.size)
    for (let i = 0; i < 200; i++) {
      const [from, to] = [`k${roll(900)}`, `k${roll(900)}`].sort()
      for (const backwards of [false, true]) {
        const walk = tree.range(from, to, backwards)
        const found = []
        while (walk.next()) found.push(walk.key)
        const wanted = sorted(map)
          .map(([key]) => key)
          .filter((key) => key >= from && key < to)
        expect(found).toEqual(backwards ? wanted.reverse() : wanted)
      }
    }
  }
})

test('keys in order fill it, and emptying it leaves nothing', () => {
  const tree = new Tree()
  const owner = {}
  for (let i = 0; i < 5000; i++) tree.set(i, i, owner)
  expect([...tree.entries()].map(([key]) => key)).toEqual(Array.from({ length: 5000 }, (_, i) => i))
  for (let i = 0; i < 5000; i++) tree.delete(i, owner)
  expect([...tree.entries()]).toEqual([])
  tree.set(1, 1, owner)
  expect(tree.get(1)).toBe(1)
})
