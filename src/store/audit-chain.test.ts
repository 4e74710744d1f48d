/** Whatever is done to a chain is found, and at the record where it was done. */
import { expect, test } from '@jest/globals'
import { type Anchor, type Finding, genesis, linkOf, Verifier, written } from './audit-chain.js'
import type { AuditEntry, AuditRecord } from './store.js'

const made = (length: number): AuditRecord[] => {
  const records: AuditRecord[] = []
  let previous: Buffer = genesis
  for (let i = 1; i <= length; i++) {
    const entry: AuditEntry = { id: `e${i}`, at: 1000 + i, keys: ['Patient/1'], text: `{"i":${i}}` }
    previous = linkOf(previous, entry)
    records.push({ ...entry, sequence: i, hash: previous })
  }
  return records
}
const verify = (records: readonly AuditRecord[], anchors: Anchor[] = []): Finding[] => {
  const verifier = new Verifier({ anchors })
  for (const record of records) verifier.add(record)
  return verifier.end()
}
const head = ({ sequence, hash }: AuditRecord): Anchor => ({ sequence: sequence!, hash: hash! })
const changed = 'is not what was chained here'

test('a chain as it was made has no findings, from any place on', () => {
  const chain = made(9)
  expect(verify(chain, chain.map(head))).toEqual([])
  const verifier = new Verifier({ from: head(chain[3]!) })
  for (const record of chain.slice(4)) verifier.add(record)
  expect(verifier.end()).toEqual([])
  expect(verifier.head).toEqual(head(chain[8]!))
})

test.each<[string, (chain: AuditRecord[]) => AuditRecord[], Finding[]]>([
  ['a text', (c) => c.with(4, { ...c[4]!, text: '{"i":6}' }), [{ sequence: 5, what: changed }]],
  ['a time', (c) => c.with(4, { ...c[4]!, at: 1004 }), [{ sequence: 5, what: changed }]],
  ['a key', (c) => c.with(4, { ...c[4]!, keys: [] }), [{ sequence: 5, what: changed }]],
  ['an id', (c) => c.with(4, { ...c[4]!, id: 'x' }), [{ sequence: 5, what: changed }]],
  ['the last text', (c) => c.with(8, { ...c[8]!, text: '' }), [{ sequence: 9, what: changed }]],
])('an edit of %s is found where it was made', (_, edit, findings) => {
  expect(verify(edit(made(9)))).toEqual(findings)
})

test('an edit that makes its own hash anew is found at the next record', () => {
  const chain = made(9)
  const entry = { ...chain[4]!, text: '{}' }
  const forged = chain.with(4, { ...entry, hash: linkOf(chain[3]!.hash!, entry) })
  expect(verify(forged)).toEqual([{ sequence: 6, what: changed }])
})

test('a gap, an insertion and another order are found', () => {
  const chain = made(9)
  expect(verify(chain.toSpliced(4, 1))).toEqual([{ sequence: 5, what: 'is missing' }])
  expect(verify(chain.slice(1))).toEqual([{ sequence: 1, what: 'is missing' }])
  const closed = chain.toSpliced(4, 1).map((record, i) => ({ ...record, sequence: i + 1 }))
  expect(verify(closed)).toEqual([{ sequence: 5, what: changed }])
  const swapped = chain.toSpliced(4, 2, { ...chain[5]!, sequence: 5 }, { ...chain[4]!, sequence: 6 })
  expect(verify(swapped).map(({ sequence }) => sequence)).toEqual([5, 6, 6, 7])
  const inserted = chain.toSpliced(4, 0, chain[3]!)
  expect(verify(inserted)).toContainEqual({ sequence: 4, what: changed })
})

test('a chain that lost its end, or was made anew, does not reach its anchors', () => {
  const chain = made(9)
  expect(verify(chain.slice(0, 7), [head(chain[7]!)])).toEqual([
    { sequence: 8, what: 'is not reached: the end of the chain is missing' },
  ])
  expect(verify(chain, [{ sequence: 7, hash: genesis }])).toEqual([{ sequence: 7, what: 'differs from its anchor' }])
  expect(verify([], [head(chain[0]!)])).toHaveLength(1)
})

test('no two entries are written alike', () => {
  const base: AuditEntry = { id: 'a', at: 1, keys: ['b'], text: 'c' }
  const others: AuditEntry[] = [
    { ...base, id: 'a","b' },
    { ...base, keys: ['b', 'c'] },
    { ...base, keys: [], text: 'b\nc' },
    { ...base, keys: ['b]\nc'], text: '' },
    { ...base, at: 12 },
  ]
  expect(new Set([base, ...others].map(written)).size).toBe(6)
})
