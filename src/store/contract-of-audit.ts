/**
 * What every store must do about the audit log: nothing acknowledged is missing, and what is changed shows.
 *
 * https://hl7.org/fhir/R4/auditevent.html
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect } from '@jest/globals'
import { Verifier } from './audit-chain.js'
import type { Suite } from './contract.js'
import type { AuditEntry, AuditLog, AuditQuery, AuditRecord } from './store.js'
import { commit, put } from './testing.js'

const entry = (id: string, at: number, ...keys: string[]): AuditEntry => ({
  id,
  at,
  keys,
  text: JSON.stringify({ id, what: 'read', who: 'Practitioner/bob "ä😀"' }),
})
const idsOf = (records: readonly AuditRecord[]) => records.map(({ id }) => id)

/** All of a chain, a page at a time, once everything in it is chained. */
async function chained(log: AuditLog, count: number): Promise<AuditRecord[]> {
  for (let tries = 0; ; tries++) {
    const records: AuditRecord[] = []
    for (let page = await log.chain(0, 7); page.length; page = await log.chain(records.at(-1)!.sequence!, 7))
      records.push(...page)
    if (records.length >= count || tries > 200) return records
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

export function contractOfAudit({ engine, given, check }: Suite): void {
  const verified = async (log: AuditLog, count: number) => {
    const records = await chained(log, count)
    const verifier = new Verifier()
    for (const record of records) verifier.add(record)
    expect(verifier.end()).toEqual([])
    expect(records).toHaveLength(count)
    if (count) expect(await log.head()).toEqual(verifier.head)
    else expect(await log.head()).toBeUndefined()
    return records
  }
  const found = async (log: AuditLog, query: Partial<AuditQuery>) => idsOf(await log.find({ count: 100, ...query }))

  describe(`${engine.name}: the audit log`, () => {
    check('what was appended is read, found and chained', async () => {
      const { store, reopen } = await given()
      expect(await store.audit.head()).toBeUndefined()
      expect(await store.audit.find({ count: 10 })).toEqual([])
      const first = entry('e1', 1000, 'Patient/1', 'Practitioner/bob')
      await store.audit.append([first])
      expect(await store.audit.read('e1')).toMatchObject(first)
      expect(await store.audit.read('e2')).toBeUndefined()
      await store.audit.append([entry('e2', 1001, 'Patient/2', 'Practitioner/bob'), entry('e3', 1002)])
      await store.audit.append([])
      expect(idsOf(await verified(store.audit, 3))).toEqual(['e1', 'e2', 'e3'])
      const again = await reopen()
      expect(await again.audit.read('e1')).toMatchObject(first)
      await again.audit.append([entry('e4', 1003)])
      expect(idsOf(await verified(again.audit, 4))).toEqual(['e1', 'e2', 'e3', 'e4'])
    })
    check('records are found by key and time, newest first or oldest first, page by page', async () => {
      const { store } = await given()
      const every = Array.from({ length: 60 }, (_, i) =>
        entry(
          `e${String(i).padStart(2, '0')}`,
          1000 + Math.floor(i / 4),
          `Patient/${i % 3}`,
          'Practitioner/bob',
          `Observation/${i}`,
        ),
      )
      for (let i = 0; i < every.length; i += 5) await store.audit.append(every.slice(i, i + 5))
      const whole = await store.audit.find({ count: 100 })
      expect(whole.map(({ at }) => at)).toEqual(every.map(({ at }) => at).reverse())
      expect(idsOf(whole).sort()).toEqual(every.map(({ id }) => id))
      const queries: [Partial<AuditQuery>, (e: AuditEntry) => boolean][] = [
        [{ key: 'Patient/1' }, ({ keys }) => keys.includes('Patient/1')],
        [{ key: 'Practitioner/bob', lo: 1003, hi: 1005 }, ({ at }) => at >= 1003 && at <= 1005],
        [{ key: 'Observation/7' }, ({ id }) => id === 'e07'],
        [{ key: 'observation/7' }, () => false],
        [{ key: 'Patient/' }, () => false],
        [{ lo: 1014 }, ({ at }) => at >= 1014],
        [{ hi: 1000 }, ({ at }) => at <= 1000],
        [{ lo: 1004.5, hi: 1004.6 }, () => false],
        [{ key: 'Patient/2', hi: 999 }, () => false],
      ]
      for (const [narrowed, passes] of queries) {
        const expected = every.filter(passes).map(({ id }) => id)
        expect((await found(store.audit, narrowed)).sort()).toEqual(expected)
        const rising = await found(store.audit, { ...narrowed, ascending: true })
        expect([...rising].reverse()).toEqual(await found(store.audit, narrowed))
        for (const ascending of [false, true]) {
          const paged: string[] = []
          for (let after: AuditQuery['after']; ; ) {
            const page = await store.audit.find({ ...narrowed, ascending, count: 3, ...(after && { after }) })
            paged.push(...idsOf(page))
            if (page.length < 3) break
            after = { at: page[2]!.at, id: page[2]!.id }
          }
          expect(paged).toEqual(await found(store.audit, { ...narrowed, ascending }))
        }
      }
    })
    check('paging goes on in its place while others append', async () => {
      const { store } = await given()
      for (let i = 0; i < 10; i++) await store.audit.append([entry(`e${i}`, 1000 + i, 'k')])
      const first = await store.audit.find({ key: 'k', count: 4 })
      await store.audit.append([entry('late', 1009, 'k')])
      const { at, id } = first.at(-1)!
      expect(await found(store.audit, { key: 'k', after: { at, id } })).toEqual(['e5', 'e4', 'e3', 'e2', 'e1', 'e0'])
    })
    check('the entries of a commit come with it, and know what it made', async () => {
      const { store } = await given()
      await store.audit.append([entry('before', 1000)])
      await store.commit({
        changes: [put('Patient/1'), put('Patient/2')],
        audit: (committed) =>
          committed.map(({ outcome, stored: { type, id, version } }) =>
            entry(`${outcome}-${type}-${id}-${version}`, 1001, `${type}/${id}`),
          ),
        integrity: true,
      })
      await store.audit.append([entry('after', 1002)])
      expect(idsOf(await verified(store.audit, 4))).toEqual([
        'before',
        'created-Patient-1-1',
        'created-Patient-2-1',
        'after',
      ])
      expect(await found(store.audit, { key: 'Patient/2' })).toEqual(['created-Patient-2-1'])
    })
    check('a refused commit leaves no entry, and its neighbours have theirs', async () => {
      const { store } = await given()
      const attempt = (id: string, exists: boolean) =>
        store.commit({
          changes: [put(`Patient/${id}`, { expect: { exists } })],
          audit: () => [entry(id, 1000)],
          integrity: true,
        })
      const outcomes = await Promise.allSettled([attempt('1', false), attempt('2', true), attempt('3', false)])
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(idsOf(await verified(store.audit, 2)).sort()).toEqual(['1', '3'])
    })
    check('many who append and commit at once make one chain', async () => {
      const { store } = await given()
      await Promise.all(
        Array.from({ length: 150 }, (_, i) =>
          i % 5
            ? store.audit.append([entry(`a${i}`, 1000 + i, 'k'), entry(`b${i}`, 1000 + i)])
            : store.commit({
                changes: [put(`Patient/${i}`)],
                audit: () => [entry(`a${i}`, 1000 + i, 'k')],
                integrity: true,
              }),
        ),
      )
      const records = await verified(store.audit, 270)
      expect(new Set(idsOf(records)).size).toBe(270)
      expect((await found(store.audit, { key: 'k', count: 1000 })).length).toBe(150)
    })
    check('time never runs backwards along the chain', async () => {
      const { store, reopen } = await given()
      await store.audit.append([entry('e1', 2000)])
      await store.audit.append([entry('e2', 1000, 'k')])
      const log = (await reopen()).audit
      await log.append([entry('e3', 1500)])
      const records = await verified(log, 3)
      expect(records.map(({ at }) => at)).toEqual([2000, 2000, 2000])
      expect(await found(log, { key: 'k', lo: 2000, hi: 2000 })).toEqual(['e2'])
    })
    check('each tenant has a chain of its own', async () => {
      const { store } = await given()
      const [a, b] = [store.database.tenant('a').audit, store.database.tenant('b').audit]
      await a.append([entry('same', 1000, 'Patient/1')])
      await b.append([entry('other', 5000, 'Patient/1')])
      await b.append([entry('same', 5001, 'Patient/1')])
      await a.append([entry('last', 1001)])
      expect((await verified(a, 2)).map(({ id, at }) => [id, at])).toEqual([
        ['same', 1000],
        ['last', 1001],
      ])
      expect(idsOf(await verified(b, 2))).toEqual(['other', 'same'])
      expect(await a.read('other')).toBeUndefined()
      expect((await b.read('same'))?.at).toBe(5001)
      expect(await found(a, { key: 'Patient/1' })).toEqual(['same'])
      await verified(store.audit, 0)
    })
    check('odd texts come back as they went in', async () => {
      const { store } = await given()
      const odd = ['', '\n', '"', '{"a":"\\u0000"}', 'ä😀', 'x'.repeat(70_000), '__proto__', '%_', '$where']
      const entries = odd.map((text, i) => ({
        id: `id ${i} ${text.slice(0, 20)}`,
        at: 1000,
        keys: [text.slice(0, 300)],
        text,
      }))
      await store.audit.append(entries)
      const records = await verified(store.audit, odd.length)
      expect(records.map(({ id, keys, text }) => ({ id, at: 1000, keys, text }))).toEqual(entries)
      for (const { id, keys } of entries) {
        expect((await store.audit.read(id))?.id).toBe(id)
        expect(await found(store.audit, { key: keys[0]! })).toEqual([id])
      }
    })
    check('a check verifies the chain, and a backup contains it', async () => {
      const { store } = await given()
      await commit(store, put('Patient/1'))
      for (let i = 0; i < 20; i++) await store.audit.append([entry(`e${i}`, 1000 + i, 'k')])
      expect(await store.maintenance.check(() => [])).toEqual([])
      const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
      try {
        await store.backup(join(folder, 'copy.db'))
        const copy = await engine.restore(join(folder, 'copy.db'))
        expect(idsOf(await verified(copy.audit, 20))).toEqual(idsOf(await verified(store.audit, 20)))
        expect(await copy.audit.head()).toEqual(await store.audit.head())
        await copy.close()
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
    check('the chain is read from any place on', async () => {
      const { store } = await given()
      for (let i = 0; i < 12; i++) await store.audit.append([entry(`e${i}`, 1000 + i)])
      const records = await verified(store.audit, 12)
      for (const after of [0, 1, 5, 11, 12, 100])
        expect(await store.audit.chain(after, 4)).toEqual(records.slice(after, after + 4))
    })
  })
}
