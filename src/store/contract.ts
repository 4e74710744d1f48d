/**
 * What every store must do.
 *
 * https://hl7.org/fhir/R4/http.html
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { type JsonObject, parseJson } from '../fhir/index.js'
import { type Expression, everything, nothing, type Position } from '../search/index.js'
import { contractOfAudit } from './contract-of-audit.js'
import { contractOfTenants } from './contract-of-tenants.js'
import { type Commit, CommitRefused, type Store, type Stored, StoreLimit } from './store.js'
import { all, commit, drop, type Engine, type Home, namesOf, put, query, reachOf, reference, token } from './testing.js'

const code = (value: string): Expression => ({ op: 'token', param: 'code', code: value })
const coded = (name: string, value: string, ...references: string[]) =>
  put(name, {
    entries: [token('code', value), ...references.map((each) => reference('subject', each))],
    references,
  })

/** What the parts of the contract share. */
export type Suite = {
  engine: Engine
  given: (options?: Parameters<Engine['open']>[0]) => Promise<Home>
  check: (name: string, body: () => Promise<void>) => void
}

export function contract(engine: Engine): void {
  const homes: Home[] = []
  const given = async (options?: Parameters<Engine['open']>[0]): Promise<Home> => {
    const home = await engine.open(options)
    homes.push(home)
    return home
  }
  afterEach(async () => {
    for (const home of homes.splice(0)) await home.dispose()
  })
  const check = (name: string, body: () => Promise<void>) => {
    const reason = engine.skip?.[name]
    if (reason) test.skip(`${name} (${reason})`, body)
    else test(name, body)
  }
  const refusal = async (task: Promise<unknown>) => {
    const error = await task.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(CommitRefused)
    return (error as CommitRefused).reason
  }
  const search = async (store: Store, ...of: Parameters<typeof query>) => namesOf(await store.search(query(...of), all))
  const textOf = (body: Buffer) => parseJson(body) as JsonObject & { meta: JsonObject }

  describe(`${engine.name}: versions`, () => {
    check('a resource is read as the bytes it was answered with', async () => {
      const { store } = await given({ clock: () => 1_600_000_000_123 })
      const [made] = await commit(store, put('Patient/1', { method: 'POST', content: { text: 'ä😀 "\\' } }))
      expect(made).toMatchObject({ outcome: 'created', stored: { version: 1, deleted: false, method: 'POST' } })
      expect(made!.stored.body.toString()).toBe(
        '{"resourceType":"Patient","id":"1","meta":{"versionId":"1","lastUpdated":"2020-09-13T12:26:40.123Z"},"text":"ä😀 \\"\\\\"}',
      )
      expect(await store.read({ type: 'Patient', id: '1' }, all)).toEqual(made!.stored)
    })
    check('long and empty content comes back as it went in', async () => {
      const { store } = await given()
      for (const text of [
        '',
        'x'.repeat(5000),
        'ä'.repeat(300_000),
        Array.from({ length: 9000 }, (_, i) => i).join(),
      ]) {
        const [made] = await commit(store, put('Patient/1', { content: { text } }))
        expect(textOf(made!.stored.body)['text']).toBe(text)
        expect((await store.read({ type: 'Patient', id: '1' }, all))!.body.equals(made!.stored.body)).toBe(true)
      }
    })
    check('every version stays, and versions count up', async () => {
      const { store } = await given()
      for (const text of ['a', 'b', 'c']) await commit(store, put('Patient/1', { content: { text } }))
      for (const [i, text] of ['a', 'b', 'c'].entries()) {
        const version = await store.read({ type: 'Patient', id: '1' }, all, i + 1)
        expect(version?.version).toBe(i + 1)
        expect(textOf(version!.body)).toMatchObject({ text, meta: { versionId: String(i + 1) } })
      }
      expect((await store.read({ type: 'Patient', id: '1' }, all))?.version).toBe(3)
      expect(await store.read({ type: 'Patient', id: '1' }, all, 4)).toBeUndefined()
      expect(await store.read({ type: 'Patient', id: '2' }, all)).toBeUndefined()
      expect(await store.read({ type: 'Nothing', id: '1' }, all)).toBeUndefined()
    })
    check('an identical update makes no version', async () => {
      const { store } = await given()
      await commit(store, put('Patient/1', { content: { text: 'a' } }))
      expect(await commit(store, put('Patient/1', { content: { text: 'a' } }))).toMatchObject([
        { outcome: 'unchanged', stored: { version: 1 } },
      ])
      expect(await commit(store, put('Patient/1', { content: { text: 'b' } }))).toMatchObject([
        { outcome: 'updated', stored: { version: 2 } },
      ])
    })
    check('a deleted resource is there as deleted, and goes on counting when it comes back', async () => {
      const { store } = await given()
      await commit(store, coded('Observation/1', 'x'))
      expect(await commit(store, drop('Observation/1'))).toMatchObject([
        { outcome: 'deleted', stored: { version: 2, deleted: true, method: 'DELETE' } },
      ])
      expect(await store.read({ type: 'Observation', id: '1' }, all)).toMatchObject({ deleted: true, version: 2 })
      expect(await search(store, ['Observation'])).toEqual([])
      expect(await commit(store, drop('Observation/1'))).toMatchObject([
        { outcome: 'unchanged', stored: { version: 2 } },
      ])
      expect(await commit(store, drop('Observation/2'))).toMatchObject([
        { outcome: 'unchanged', stored: { deleted: true } },
      ])
      expect(await commit(store, coded('Observation/1', 'x'))).toMatchObject([
        { outcome: 'created', stored: { version: 3, deleted: false } },
      ])
      expect(await search(store, ['Observation'], code('x'))).toEqual(['Observation/1'])
    })
    check('time never runs backwards', async () => {
      let now = 1000
      const { store, reopen } = await given({ clock: () => now })
      await commit(store, put('Patient/1'))
      now = 500
      expect(await commit(store, put('Patient/2'))).toMatchObject([{ stored: { updated: 1000 } }])
      expect(await commit(await reopen(), put('Patient/3'))).toMatchObject([{ stored: { updated: 1000 } }])
    })
    check('what was stored is there after the store was closed and opened', async () => {
      const { store, reopen } = await given()
      await commit(store, put('Patient/1', { content: { text: 'a' } }), coded('Observation/1', 'x', 'Patient/1'))
      await store.secrets.put('key', 'value')
      const again = await reopen()
      expect(await search(again, ['Observation'], code('x'))).toEqual(['Observation/1'])
      expect(await again.secrets.get('key')).toBe('value')
      expect(await commit(again, put('Patient/1', { content: { text: 'b' } }))).toMatchObject([
        { stored: { version: 2 } },
      ])
    })
  })

  describe(`${engine.name}: preconditions`, () => {
    check('an expected version must be the current one', async () => {
      const { store } = await given()
      await commit(store, put('Patient/1', { content: { text: 'a' } }))
      const update = (version: number) =>
        commit(store, put('Patient/1', { content: { text: 'b' }, expect: { version } }))
      expect(await refusal(update(2))).toEqual({ kind: 'version', index: 0, current: 1 })
      expect(await refusal(commit(store, put('Patient/9', { expect: { version: 1 } })))).toEqual({
        kind: 'version',
        index: 0,
        current: undefined,
      })
      expect(await update(1)).toMatchObject([{ stored: { version: 2 } }])
      expect(await refusal(commit(store, drop('Patient/1', { version: 1 })))).toMatchObject({
        kind: 'version',
        current: 2,
      })
    })
    check('a resource is there, or not, as expected', async () => {
      const { store } = await given()
      await commit(store, put('Patient/1'), put('Patient/2'))
      await commit(store, drop('Patient/2'))
      const fresh = (name: string, exists: boolean) => put(name, { content: { text: 'new' }, expect: { exists } })
      expect(await refusal(commit(store, put('Patient/5'), fresh('Patient/1', false)))).toMatchObject({
        kind: 'exists',
        index: 1,
      })
      expect(await refusal(commit(store, fresh('Patient/2', true)))).toEqual({
        kind: 'absent',
        index: 0,
        deleted: true,
      })
      expect(await refusal(commit(store, drop('Patient/3', { exists: true })))).toEqual({
        kind: 'absent',
        index: 0,
        deleted: false,
      })
      expect(await commit(store, fresh('Patient/2', false))).toMatchObject([{ outcome: 'created' }])
      expect(await store.read({ type: 'Patient', id: '5' }, all)).toBeUndefined()
    })
    check('a condition still finds what it found', async () => {
      const { store } = await given()
      await commit(store, coded('Observation/1', 'x'), coded('Observation/2', 'y'), coded('Observation/3', 'y'))
      const attempt = (value: string, ids: string[], reach = all): Commit => ({
        changes: [put('Patient/new')],
        conditions: [{ query: query(['Observation'], code(value)), reach, ids }],
        integrity: true,
      })
      for (const [value, ids] of [
        ['x', []],
        ['y', ['2']],
        ['y', ['2', '4']],
        ['z', ['1']],
      ] as const)
        expect(await refusal(store.commit(attempt(value, [...ids])))).toEqual({ kind: 'condition', index: 0 })
      expect(await refusal(store.commit(attempt('x', ['1'], reachOf({ Observation: nothing }))))).toMatchObject({
        kind: 'condition',
      })
      expect(await search(store, ['Patient'])).toEqual([])
      await store.commit(attempt('y', ['3', '2']))
      expect(await search(store, ['Patient'])).toEqual(['Patient/new'])
    })
    check('of 64 conditional creates at once one is made', async () => {
      const { store } = await given()
      const condition = { query: query(['Observation'], code('x')), reach: all, ids: [] }
      const outcomes = await Promise.allSettled(
        Array.from({ length: 64 }, (_, i) =>
          store.commit({ changes: [coded(`Observation/${i}`, 'x')], conditions: [condition], integrity: true }),
        ),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      expect(await search(store, ['Observation'], code('x'))).toHaveLength(1)
    })
    check('of 64 updates of one version at once one is made', async () => {
      const { store } = await given()
      await commit(store, put('Patient/1'))
      const outcomes = await Promise.allSettled(
        Array.from({ length: 64 }, (_, i) =>
          commit(store, put('Patient/1', { content: { text: `${i}` }, expect: { version: 1 } })),
        ),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      expect((await store.read({ type: 'Patient', id: '1' }, all))?.version).toBe(2)
    })
    check('a key is claimed once, and again when it has expired', async () => {
      let now = 1000
      const { store } = await given({ clock: () => now })
      const attempt = (name: string, expires?: number): Commit => ({
        changes: [put(name)],
        claims: [{ key: 'k', value: name, ...(expires !== undefined && { expires }) }],
        integrity: true,
      })
      await store.commit(attempt('Patient/1', 2000))
      expect(await refusal(store.commit(attempt('Patient/2')))).toEqual({ kind: 'claim', index: 0, value: 'Patient/1' })
      expect(await search(store, ['Patient'])).toEqual(['Patient/1'])
      now = 2000
      await store.commit(attempt('Patient/3'))
      now = 1e12
      expect(await refusal(store.commit(attempt('Patient/4')))).toMatchObject({ kind: 'claim', value: 'Patient/3' })
    })
    check('a claim of a commit that was refused is free', async () => {
      const { store } = await given()
      const claims = [{ key: 'k', value: 'v' }]
      await refusal(
        store.commit({ changes: [put('Patient/1', { expect: { exists: true } })], claims, integrity: true }),
      )
      await store.commit({ changes: [put('Patient/1')], claims, integrity: true })
      const twice = [...claims, ...claims].map(({ value }) => ({ key: 'other', value }))
      expect(await refusal(store.commit({ changes: [], claims: twice, integrity: true }))).toMatchObject({
        kind: 'claim',
        index: 1,
      })
    })
    check('a refused commit leaves nothing behind, and its neighbours stand', async () => {
      const { store } = await given()
      const outcomes = await Promise.allSettled([
        commit(store, coded('Observation/1', 'x')),
        commit(store, coded('Observation/2', 'never'), put('Fresh/1'), put('Patient/1', { expect: { exists: true } })),
        commit(store, coded('Observation/3', 'x')),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(await search(store, undefined)).toEqual(['Observation/1', 'Observation/3'])
      expect(await search(store, ['Observation'], code('never'))).toEqual([])
      expect(await commit(store, coded('Observation/4', 'never'))).toMatchObject([{ outcome: 'created' }])
      expect(await search(store, ['Observation'], code('never'))).toEqual(['Observation/4'])
      expect((await store.changes(0, 10)).map(({ sequence }) => sequence)).toEqual([1, 2, 3])
    })
  })

  describe(`${engine.name}: references`, () => {
    check('a reference leads to something that is there', async () => {
      const { store } = await given()
      expect(await refusal(commit(store, put('Patient/2'), coded('Observation/1', 'x', 'Patient/1')))).toEqual({
        kind: 'dangling',
        index: 1,
        ref: { type: 'Patient', id: '1' },
      })
      await commit(store, coded('Observation/1', 'x', 'Patient/1'), put('Patient/1'))
      await commit(store, coded('Observation/self', 'x', 'Observation/self'))
      await commit(store, put('Patient/gone'))
      await commit(store, drop('Patient/gone'))
      expect(await refusal(commit(store, coded('Observation/2', 'x', 'Patient/gone')))).toMatchObject({
        kind: 'dangling',
      })
      expect(
        await refusal(commit(store, coded('Observation/2', 'x', 'Observation/self'), drop('Observation/self'))),
      ).toMatchObject({ kind: 'dangling', index: 0 })
    })
    check('what is referred to is not deleted, whatever element refers to it', async () => {
      const { store } = await given()
      await commit(
        store,
        put('Patient/1'),
        put('Account/1', { references: ['Patient/1'] }),
        coded('Observation/1', 'x', 'Patient/1'),
      )
      expect(await refusal(commit(store, drop('Observation/1'), drop('Patient/1')))).toEqual({
        kind: 'referred',
        index: 1,
        by: { type: 'Account', id: '1' },
      })
      expect(await search(store, ['Observation'])).toEqual(['Observation/1'])
      await commit(store, put('Account/1', { content: { text: 'no more' } }))
      expect(await refusal(commit(store, drop('Patient/1')))).toMatchObject({
        kind: 'referred',
        by: { type: 'Observation' },
      })
      await commit(store, drop('Patient/1'), drop('Observation/1'))
      expect(await search(store, undefined)).toEqual(['Account/1'])
    })
    check('a resource may refer to itself and be deleted', async () => {
      const { store } = await given()
      await commit(store, coded('Observation/1', 'x', 'Observation/1'))
      await commit(store, drop('Observation/1'))
      expect(await search(store, undefined)).toEqual([])
    })
    check('records of what was done may refer to what is gone', async () => {
      const { store } = await given()
      await commit(
        store,
        put('Patient/1'),
        ...['AuditEvent/1', 'Provenance/1'].map((name) => coded(name, 'x', 'Patient/1', 'Patient/never')),
      )
      await commit(store, drop('Patient/1'))
      expect(
        await search(store, ['AuditEvent'], {
          op: 'reference',
          param: 'subject',
          target: { type: 'Patient', id: '1' },
        }),
      ).toEqual(['AuditEvent/1'])
    })
    check('without integrity anything goes, and what comes later is found through its references', async () => {
      const { store } = await given()
      const free = (...changes: Commit['changes']) => store.commit({ changes, integrity: false })
      await free(coded('Observation/1', 'x', 'Patient/1', 'Patient/2'), put('Patient/0'))
      const ofOne: Expression = { op: 'chain', param: 'subject', types: ['Patient'], of: everything }
      expect(await search(store, ['Observation'], ofOne)).toEqual([])
      expect(await search(store, ['Patient'])).toEqual(['Patient/0'])
      await free(put('Patient/2'), put('Patient/1'))
      expect(await search(store, ['Observation'], ofOne)).toEqual(['Observation/1'])
      expect(await search(store, ['Patient'])).toEqual(['Patient/0', 'Patient/2', 'Patient/1'])
      await free(drop('Patient/1'), drop('Patient/2'))
      expect(await search(store, ['Observation'], ofOne)).toEqual([])
      const subjects = ['Patient/1', 'Patient/2'].map((name) => reference('subject', name))
      const rebuilt = ({ type }: Stored) => (type === 'Patient' ? [] : [token('code', 'x'), ...subjects])
      expect(await store.maintenance.check(rebuilt)).toEqual([])
    })
  })

  describe(`${engine.name}: history and changes`, () => {
    const clocked = async () => {
      let now = 1000
      const home = await given({ clock: () => now })
      const at = async (time: number, ...changes: Commit['changes']) => {
        now = time
        await commit(home.store, ...changes)
      }
      await at(1000, put('Patient/1', { method: 'POST' }), put('Patient/2'))
      await at(2000, put('Patient/1', { content: { text: 'b' }, method: 'PATCH' }))
      await at(3000, coded('Observation/1', 'x', 'Patient/1'), drop('Patient/2'))
      return home
    }
    const versions = async (store: Store, asked: Partial<Parameters<Store['history']>[0]>, reach = all) => {
      const { matches, total } = await store.history({ count: 100, total: true, ...asked }, reach)
      return [matches.map(({ stored: { type, id, version, method } }) => `${type}/${id}/${version} ${method}`), total]
    }
    check('histories list versions, the newest first', async () => {
      const { store } = await clocked()
      expect(await versions(store, { type: 'Patient', id: '1' })).toEqual([
        ['Patient/1/2 PATCH', 'Patient/1/1 POST'],
        2,
      ])
      expect(await versions(store, { type: 'Patient' })).toEqual([
        ['Patient/2/2 DELETE', 'Patient/1/2 PATCH', 'Patient/2/1 PUT', 'Patient/1/1 POST'],
        4,
      ])
      expect((await versions(store, {}))[0]).toEqual([
        'Patient/2/2 DELETE',
        'Observation/1/1 PUT',
        'Patient/1/2 PATCH',
        'Patient/2/1 PUT',
        'Patient/1/1 POST',
      ])
      expect(await versions(store, { type: 'Patient', id: 'none' })).toEqual([[], 0])
      expect(await versions(store, { type: 'Device' })).toEqual([[], 0])
    })
    check('_since is what was made from then on, _at what was current in a period', async () => {
      const { store } = await clocked()
      expect(await versions(store, { type: 'Patient', since: 2000 })).toEqual([
        ['Patient/2/2 DELETE', 'Patient/1/2 PATCH'],
        2,
      ])
      expect(await versions(store, { since: 3001 })).toEqual([[], 0])
      expect(await versions(store, { type: 'Patient', id: '1', at: { lo: 1000, hi: 1999 } })).toEqual([
        ['Patient/1/1 POST'],
        1,
      ])
      expect(await versions(store, { type: 'Patient', id: '1', at: { lo: 1500, hi: 2500 } })).toEqual([
        ['Patient/1/2 PATCH', 'Patient/1/1 POST'],
        2,
      ])
      expect(await versions(store, { type: 'Patient', at: { lo: 2000, hi: 2000 } })).toEqual([
        ['Patient/1/2 PATCH', 'Patient/2/1 PUT'],
        2,
      ])
      expect(await versions(store, { at: { lo: 0, hi: 999 } })).toEqual([[], 0])
    })
    check('paging through a history gives each version once, while others write', async () => {
      const { store } = await clocked()
      const seen: string[] = []
      let after: Position | undefined
      do {
        const page = await store.history({ count: 2, total: false, ...(after && { after }) }, all)
        seen.push(...page.matches.map(({ stored: { type, id, version } }) => `${type}/${id}/${version}`))
        after = page.next
        await commit(store, put(`Patient/new${seen.length}`))
      } while (after)
      expect(seen).toEqual(['Patient/2/2', 'Observation/1/1', 'Patient/1/2', 'Patient/2/1', 'Patient/1/1'])
    })
    check('a history shows only what the caller may see', async () => {
      const { store } = await clocked()
      const onlyTwo = reachOf({ Patient: { op: 'ids', ids: ['1'] } })
      expect(await versions(store, {}, onlyTwo)).toEqual([['Patient/1/2 PATCH', 'Patient/1/1 POST'], 2])
      expect(await versions(store, { type: 'Patient', id: '2' }, onlyTwo)).toEqual([[], 0])
      expect(await versions(store, { type: 'Observation' }, onlyTwo)).toEqual([[], 0])
      expect(await store.read({ type: 'Patient', id: '2' }, onlyTwo)).toBeUndefined()
      expect(await store.read({ type: 'Patient', id: '2' }, onlyTwo, 1)).toBeUndefined()
      expect(await store.read({ type: 'Patient', id: '1' }, onlyTwo, 1)).toMatchObject({ version: 1 })
    })
    check('who watches a tenant is told of its changes until they stop', async () => {
      const { store } = await given()
      const seen: number[] = []
      let last = 0
      let looking = Promise.resolve()
      const stop = store.watch(() => {
        looking = looking.then(async () => {
          for (const { sequence } of await store.changes(last, 100)) {
            seen.push(sequence)
            last = sequence
          }
        })
      })
      await commit(store, put('Patient/1'))
      await commit(store, put('Patient/2'))
      for (let waited = 0; seen.length < 2 && waited < 3000; waited += 20)
        await new Promise((resolve) => setTimeout(resolve, 20))
      expect(seen).toEqual([1, 2])
      await looking
      stop()
      stop()
      await commit(store, put('Patient/3'))
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect(seen).toEqual([1, 2])
    })
    check('changes follow in the order in which they became visible', async () => {
      const { store } = await clocked()
      const changes = await store.changes(0, 100)
      expect(changes.map(({ stored: { type, id, version } }) => `${type}/${id}/${version}`)).toEqual([
        'Patient/1/1',
        'Patient/2/1',
        'Patient/1/2',
        'Observation/1/1',
        'Patient/2/2',
      ])
      expect(changes.map(({ sequence }) => sequence)).toEqual(
        changes.map(({ sequence }) => sequence).sort((a, b) => a - b),
      )
      expect(await store.changes(changes[1]!.sequence, 2)).toEqual(changes.slice(2, 4))
      expect(await store.changes(changes[4]!.sequence, 10)).toEqual([])
    })
  })

  describe(`${engine.name}: search`, () => {
    check('an update changes what a resource is found by', async () => {
      const { store } = await given()
      await commit(store, coded('Observation/1', 'x'), coded('Observation/2', 'x'))
      await commit(store, {
        ...coded('Observation/1', 'y'),
        serialized: put('Observation/1', { content: { text: 'y' } }).serialized,
      })
      expect(await search(store, ['Observation'], code('x'))).toEqual(['Observation/2'])
      expect(await search(store, ['Observation'], code('y'))).toEqual(['Observation/1'])
    })
    check('paging gives each entry once, while others write, update and delete', async () => {
      const { store } = await given()
      const dated = (i: number) =>
        put(`Observation/${i}`, {
          content: { text: `${Math.random()}` },
          entries: [{ kind: 'interval', param: 'date', lo: i % 7, hi: i % 7 }],
        })
      await commit(store, ...Array.from({ length: 50 }, (_, i) => dated(i)))
      for (const sort of [
        [],
        [{ param: 'date', descending: true }],
        [
          { param: 'date', descending: false },
          { param: '_id', descending: true },
        ],
      ]) {
        const whole = await search(store, ['Observation'], everything, { sort })
        const seen: string[] = []
        let after: Position | undefined
        let deleted = ''
        do {
          const page = await store.search(
            query(['Observation'], everything, { sort, count: 7, ...(after && { after }) }),
            all,
          )
          seen.push(...namesOf(page))
          after = page.next
          // Behind the place reached, and ahead of it: only what is ahead may make a difference.
          await commit(
            store,
            put(`Observation/new${sort.length}-${seen.length}`, {
              entries: [{ kind: 'interval', param: 'date', lo: 3, hi: 3 }],
            }),
          )
          if (!deleted) {
            deleted = whole.at(-1)!
            await commit(store, drop(deleted), drop(seen[0]!))
          }
        } while (after)
        expect(new Set(seen).size).toBe(seen.length)
        expect(seen.filter((name) => !name.includes('new'))).toEqual(
          whole.filter((name) => name !== deleted && !name.includes('new')),
        )
      }
    })
    check('a total counts all that is found', async () => {
      const { store } = await given()
      await commit(store, ...Array.from({ length: 30 }, (_, i) => coded(`Observation/${i}`, i % 3 ? 'x' : 'y')))
      expect(await store.search(query(['Observation'], code('x'), { count: 5, total: true }), all)).toMatchObject({
        total: 20,
      })
      expect(await store.search(query(['Observation'], code('x'), { count: 0, total: true }), all)).toEqual({
        matches: [],
        total: 20,
      })
      expect(await store.search(query(undefined, everything, { count: 1, total: true }), all)).toMatchObject({
        total: 30,
      })
    })
    check('what is out of reach is found by nothing', async () => {
      const { store } = await given()
      await commit(
        store,
        put('Patient/open', { entries: [token('name', 'a')] }),
        put('Patient/hidden', { entries: [token('name', 'a'), reference('link', 'Patient/open')] }),
        ...['open', 'hidden'].flatMap((id) => [
          coded(`Observation/of-${id}`, 'x', `Patient/${id}`),
          put(`Observation/hidden-of-${id}`, {
            entries: [token('code', 'x'), token('_security', 'R'), reference('subject', `Patient/${id}`)],
          }),
        ]),
      )
      const reach = reachOf({
        Patient: { op: 'not', of: { op: 'ids', ids: ['hidden'] } },
        Observation: { op: 'not', of: { op: 'token', param: '_security', code: 'R' } },
      })
      const found = async (...of: Parameters<typeof query>) => namesOf(await store.search(query(...of), reach))
      expect(await found(undefined)).toEqual(['Patient/open', 'Observation/of-open', 'Observation/of-hidden'])
      expect(await found(['Observation'], code('x'))).toEqual(['Observation/of-open', 'Observation/of-hidden'])
      expect(
        await found(['Observation'], {
          op: 'chain',
          param: 'subject',
          types: ['Patient'],
          of: { op: 'token', param: 'name', code: 'a' },
        }),
      ).toEqual(['Observation/of-open'])
      const twice: Expression = {
        op: 'has',
        type: 'Observation',
        param: 'subject',
        of: { op: 'token', param: '_security', code: 'R' },
      }
      expect(await found(['Patient'], twice)).toEqual([])
      expect(await found(['Patient'], { op: 'has', type: 'Patient', param: 'link', of: everything })).toEqual([])
      const include = [
        { reverse: false, type: 'Observation', param: 'subject', iterate: false },
        { reverse: true, type: 'Observation', param: 'subject', iterate: false },
        { reverse: true, type: 'Patient', param: '*', iterate: true },
      ]
      expect(await found(['Observation'], everything, { include })).toEqual([
        'Observation/of-open',
        'Observation/of-hidden',
        '(Patient/open)',
      ])
      expect(await found(['Patient'], everything, { include })).toEqual(['Patient/open', '(Observation/of-open)'])
      expect(await store.search(query(undefined, everything, { count: 0, total: true }), reach)).toMatchObject({
        total: 3,
      })
      expect(await store.search(query(undefined, everything, { total: true }), reachOf({}))).toEqual({
        matches: [],
        total: 0,
      })
    })
    check('a reach that follows references is taken as it stands', async () => {
      const { store } = await given()
      await commit(
        store,
        put('Patient/1', { entries: [token('consent', 'yes')] }),
        put('Patient/2'),
        coded('Observation/1', 'x', 'Patient/1'),
        coded('Observation/2', 'x', 'Patient/2'),
      )
      const reach = reachOf({
        Observation: {
          op: 'chain',
          param: 'subject',
          types: ['Patient'],
          of: { op: 'token', param: 'consent', code: 'yes' },
        },
      })
      expect(namesOf(await store.search(query(undefined), reach))).toEqual(['Observation/1'])
      expect(await store.read({ type: 'Observation', id: '1' }, reach)).toBeDefined()
      expect(await store.read({ type: 'Observation', id: '2' }, reach)).toBeUndefined()
    })
    check('who leaves the team of a patient sees nothing from then on, and who joins sees all', async () => {
      const { store } = await given()
      const member = { op: 'token', param: 'member', code: 'bob' } as const
      const inTeam: Expression = { op: 'has', type: 'CareTeam', param: 'patient', of: member }
      const reach = reachOf({
        Patient: inTeam,
        Observation: { op: 'chain', param: 'subject', types: ['Patient'], of: inTeam },
      })
      const team = (...members: string[]) =>
        put('CareTeam/1', {
          content: { text: members.join() },
          entries: [...members.map((each) => token('member', each)), reference('patient', 'Patient/1')],
          references: ['Patient/1'],
        })
      const seen = async () => [
        (await store.read({ type: 'Observation', id: '1' }, reach)) !== undefined,
        (await store.read({ type: 'Patient', id: '1' }, reach)) !== undefined,
        namesOf(await store.search(query(['Observation'], code('x'), { total: true }), reach)).length === 1,
        (await store.search(query(['Observation'], everything, { count: 0, total: true }), reach)).total === 1,
        (await store.history({ type: 'Observation', id: '1', count: 5, total: false }, reach)).matches.length === 1,
      ]
      const all = (answer: boolean) => Array.from({ length: 5 }, () => answer)
      await commit(store, put('Patient/1'), coded('Observation/1', 'x', 'Patient/1'), team('ann'))
      expect(await seen()).toEqual(all(false))
      for (let round = 0; round < 3; round++) {
        await commit(store, team('ann', 'bob'))
        expect(await seen()).toEqual(all(true))
        await (round === 1 ? commit(store, drop('CareTeam/1')) : commit(store, team('ann', `${round}`)))
        expect(await seen()).toEqual(all(false))
      }
    })
    check('more includes than one answer may hold are refused, not cut', async () => {
      const { store } = await given({ includesMax: 10 })
      await commit(
        store,
        put('Patient/1'),
        ...Array.from({ length: 11 }, (_, i) => coded(`Observation/${i}`, 'x', 'Patient/1')),
      )
      const include = [{ reverse: true, type: 'Observation', param: 'subject', iterate: false }]
      await expect(store.search(query(['Patient'], everything, { include }), all)).rejects.toThrow(StoreLimit)
      await commit(store, drop('Observation/3'))
      expect(await search(store, ['Patient'], everything, { include })).toHaveLength(11)
    })
    check('a list of thousands of values is answered', async () => {
      const { store } = await given()
      await commit(
        store,
        put('Patient/1'),
        ...Array.from({ length: 40 }, (_, i) => coded(`Observation/${i}`, `c${i}`, 'Patient/1')),
      )
      const many = (make: (i: number) => Expression): Expression => ({
        op: 'or',
        of: Array.from({ length: 3000 }, (_, i) => make(i)),
      })
      const lists = [
        many((i) => code(`c${i + 20}`)),
        many((i) => ({ op: 'ids', ids: [`${i + 20}`] })),
        many((i) => ({ op: 'interval', param: 'date', prefix: 'eq', lo: i, hi: i })),
        many((i) => ({ op: 'reference', param: 'subject', target: { type: 'Patient', id: `${i}` } })),
        many((i) => ({ op: 'and', of: [code(`c${i + 20}`), { op: 'missing', param: 'date' }] })),
      ]
      for (const [i, where] of lists.entries()) {
        const found = await search(store, ['Observation'], where)
        expect(found).toHaveLength([20, 20, 0, 40, 20][i]!)
        expect(await search(store, ['Observation'], { op: 'not', of: where })).toHaveLength(40 - found.length)
      }
    })
    check('chains and _has within each other do not multiply', async () => {
      const { store } = await given()
      const patients = Array.from({ length: 20 }, (_, i) => coded(`Patient/${i}`, i % 2 ? 'x' : 'y'))
      await commit(
        store,
        ...patients,
        ...Array.from({ length: 2000 }, (_, i) => coded(`Observation/${i}`, 'x', `Patient/${i % 20}`)),
      )
      let where = code('x')
      for (let depth = 0; depth < 8; depth++)
        where =
          depth % 2
            ? { op: 'has', type: 'Observation', param: 'subject', of: where }
            : { op: 'chain', param: 'subject', types: ['Patient'], of: where }
      expect(await search(store, ['Patient'], where)).toHaveLength(10)
      expect(await search(store, ['Patient'], { op: 'not', of: where })).toHaveLength(10)
    })
    check('explaining a search says nothing of its values', async () => {
      const { store } = await given()
      await commit(store, coded('Observation/1', 'TOPSECRET'))
      const lines = await store.explain(query(['Observation'], code('TOPSECRET')), all)
      expect(lines.length).toBeGreaterThan(0)
      expect(lines.join('\n')).not.toContain('TOPSECRET')
    })
  })

  describe(`${engine.name}: secrets`, () => {
    check('values are kept by key until they expire', async () => {
      let now = 1000
      const { store } = await given({ clock: () => now })
      await store.secrets.put('a', '1', 2000)
      await store.secrets.put('b', '2')
      await store.secrets.put('b', '3')
      expect([await store.secrets.get('a'), await store.secrets.get('b'), await store.secrets.get('c')]).toEqual([
        '1',
        '3',
        undefined,
      ])
      now = 2000
      expect([await store.secrets.get('a'), await store.secrets.take('a')]).toEqual([undefined, undefined])
      await store.secrets.drop('b')
      expect(await store.secrets.get('b')).toBeUndefined()
    })
    check('of many who take a value one receives it', async () => {
      const { store } = await given()
      await store.secrets.put('code', 'grant')
      const taken = await Promise.all(Array.from({ length: 16 }, () => store.secrets.take('code')))
      expect(taken.filter((value) => value !== undefined)).toEqual(['grant'])
      expect(await store.secrets.get('code')).toBeUndefined()
    })
  })

  describe(`${engine.name}: maintenance`, () => {
    check('resources are counted by type', async () => {
      const { store } = await given()
      await commit(store, put('Patient/1'), put('Patient/2'), put('Device/1'))
      await commit(store, drop('Patient/2'), drop('Device/1'))
      expect(await store.maintenance.count()).toEqual({ Patient: 1 })
      expect(await store.health()).toBeUndefined()
    })
    check('a reindex goes on from where it stopped, and what it replaces is gone', async () => {
      const { store, reopen } = await given()
      await commit(
        store,
        put('Patient/1'),
        ...Array.from({ length: 25 }, (_, i) => coded(`Observation/${i}`, 'old', 'Patient/1')),
      )
      let at: number | undefined = 0
      let steps = 0
      let open = store
      do {
        at = await open.maintenance.reindex('Observation', at, 10, () => [token('code', 'new')])
        if (++steps === 1) open = await reopen()
      } while (at !== undefined)
      expect(steps).toBe(3)
      expect(await search(open, ['Observation'], code('old'))).toEqual([])
      expect(await search(open, ['Observation'], code('new'))).toHaveLength(25)
      expect(await refusal(commit(open, drop('Patient/1')))).toMatchObject({ kind: 'referred' })
      expect(
        await open.maintenance.check(({ type }) => (type === 'Observation' ? [token('code', 'new')] : [])),
      ).toEqual([])
      expect(await open.maintenance.reindex('Device', 0, 10, () => [])).toBeUndefined()
    })
    check('a check finds indexes that say something else than the resources', async () => {
      const { store } = await given()
      await commit(
        store,
        coded('Observation/1', 'x'),
        put('Patient/1', { entries: [{ kind: 'text', param: '_content', words: 'a b' }] }),
      )
      const entries = (type: string) =>
        type === 'Patient'
          ? [{ kind: 'text' as const, param: '_content' as const, words: 'a b' }]
          : [token('code', 'x')]
      expect(await store.maintenance.check(({ type }) => entries(type))).toEqual([])
      expect(await store.maintenance.check(() => [token('code', 'y')])).not.toEqual([])
    })
    check('a backup made while others write is a whole store', async () => {
      const { store } = await given()
      const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
      try {
        await commit(store, ...Array.from({ length: 300 }, (_, i) => coded(`Observation/${i}`, 'x')))
        const backup = store.backup(join(folder, 'copy.db'))
        await Promise.all([
          backup,
          ...Array.from({ length: 20 }, (_, i) => commit(store, coded(`Observation/late${i}`, 'x'))),
        ])
        const copy = await engine.restore(join(folder, 'copy.db'))
        try {
          const found = await search(copy, ['Observation'], code('x'))
          expect(found.slice(0, 300)).toEqual(Array.from({ length: 300 }, (_, i) => `Observation/${i}`))
          expect(await copy.maintenance.check(() => [token('code', 'x')])).toEqual([])
        } finally {
          await copy.close()
        }
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  })

  contractOfTenants({ engine, given, check })
  contractOfAudit({ engine, given, check })
}
