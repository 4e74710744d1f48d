/**
 * Random transactions interleaved: each sees its snapshot and its own writes and nothing else, what is committed is what a
 * simple model says, and every index is what it would be if it were built anew.
 *
 * https://www.mongodb.com/docs/manual/core/read-isolation-consistency-recency/
 */
import { describe, expect, test } from '@jest/globals'
import { documentFrom } from './bson.mjs'
import { Blocked, CommandError } from './errors.mjs'
import { addIndex, Collection, recordKey, Store, View, Writer } from './store.mjs'
import { Transaction } from './transaction.mjs'

const NAMESPACE = 'test.a'
const INDEXES = [
  { key: { n: 1 }, name: 'n' },
  { key: { k: 1, n: -1 }, name: 'k' },
  { key: { u: 1 }, name: 'u', unique: true, sparse: true },
]

function dice(seed) {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % n
  }
}

/** A collection in a view as plain data. */
const contents = (view) =>
  Object.fromEntries(
    [...view.get(NAMESPACE).records.entries()].map(([, document]) => [document.get('_id'), document.toObject()]),
  )

/** Built over the records as they are: two of the same unique key would be refused. */
function rebuilt(collection) {
  const view = new View(new Map([[NAMESPACE, new Collection(NAMESPACE)]]))
  for (const [rid, document] of collection.records.entries())
    view.put(NAMESPACE, rid, undefined, documentFrom(document.toObject()))
  for (const index of INDEXES) addIndex(view, NAMESPACE, index)
  return view.get(NAMESPACE)
}

const keysOf = (index) =>
  [...index.tree.entries()].map(([key, rid]) => [Buffer.from(key, 'latin1').toString('hex'), rid])

/** One who writes: a model of what it must see, and the writer itself. */
function actor(store, open) {
  const transaction = open ? new Transaction(store) : undefined
  return {
    transaction,
    writer: new Writer(store, transaction),
    model: contents(transaction?.view ?? store.main),
    start: contents(store.main),
    changes: new Map(),
  }
}

/** Does one random thing; says what became of it. */
function act({ writer, model, changes }, roll, serial) {
  const id = roll(12)
  const before = [...writer.view.get(NAMESPACE).records.entries()].find(
    ([, document]) => document.get('_id') === id,
  )?.[1]
  const object = { _id: id, n: roll(5), k: [roll(4), roll(4)], ...(roll(3) === 0 ? { u: roll(6) } : {}), serial }
  if (!before) writer.insert(NAMESPACE, documentFrom(object))
  else if (roll(3) === 0) writer.remove(NAMESPACE, before)
  else writer.replace(NAMESPACE, before, documentFrom(object), true)
  const after = before && !writer.view.get(NAMESPACE).records.get(before.rid) ? undefined : object
  if (after) model[id] = after
  else delete model[id]
  changes.set(id, after)
}

describe('interleaved transactions', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i', (seed) => {
    const roll = dice(seed * 7919)
    const store = new Store()
    store.main.collections.set(NAMESPACE, new Collection(NAMESPACE))
    for (const index of INDEXES) addIndex(store.main, NAMESPACE, index)
    let committed = {}
    const open = []
    const counts = { commits: 0, conflicts: 0, duplicates: 0, blocked: 0 }
    const end = (one) => open.splice(open.indexOf(one), 1)
    for (let serial = 0; serial < 3000; serial++) {
      if (open.length < 3 && roll(4) === 0) open.push(actor(store, true))
      const one = open.length > 0 && roll(5) > 0 ? open[roll(open.length)] : actor(store, false)
      try {
        if (one.transaction && roll(6) === 0) {
          if (roll(4) === 0) one.transaction.abort()
          else {
            one.transaction.commit()
            counts.commits++
            for (const [id, object] of one.changes) {
              // Nobody else may have changed it since the snapshot: no update is lost.
              expect(committed[id]).toEqual(one.start[id])
              if (object) committed = { ...committed, [id]: object }
              else delete committed[id]
            }
          }
          end(one)
        } else {
          act(one, roll, serial)
          if (!one.transaction) committed = { ...one.model }
        }
      } catch (error) {
        if (error instanceof Blocked) counts.blocked++
        else if (error instanceof CommandError && error.code === 112) counts.conflicts++
        else if (error instanceof CommandError && error.code === 11000) counts.duplicates++
        else throw error
        if (one.transaction) {
          one.transaction.abort()
          end(one)
        }
      }
      if (serial % 10 === 0) {
        for (const { transaction, model } of open) expect(contents(transaction.view)).toEqual(model)
        expect(contents(store.main)).toEqual(committed)
      }
    }
    for (const { transaction } of open.splice(0)) transaction.abort()
    expect(contents(store.main)).toEqual(committed)
    expect(store.locks.size).toBe(0)
    const collection = store.main.get(NAMESPACE)
    const anew = rebuilt(collection)
    for (const index of collection.indexes) {
      expect(keysOf(index)).toEqual(keysOf(anew.index(index.name)))
      for (const [key, rid] of keysOf(index))
        expect(key.endsWith(Buffer.from(recordKey(rid), 'latin1').toString('hex'))).toBe(true)
    }
    const bytes = [...collection.records.entries()].reduce((sum, [, document]) => sum + document.raw.length, 0)
    expect(collection.bytes).toBe(bytes)
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(20)
  })
})
