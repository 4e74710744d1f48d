/**
 * What is remembered of who may see what is never used after it has changed.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * A reach that is kept must see what the same reach sees that was made a moment ago, whatever was written in between.
 * SEED=n repeats a run.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import type { Expression, IndexEntry, Reach } from '../../search/index.js'
import type { Change, Stored } from '../store.js'
import { type Alone, alone, drop, namesOf, put, query, reachOf, reference, token } from '../testing.js'
import { openSqlite } from './index.js'

let close: () => Promise<void> = async () => {}
afterEach(() => close())

async function given(): Promise<Alone> {
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
  const store = await alone(openSqlite(join(folder, 'test.db')))
  close = async () => {
    await store.close()
    rmSync(folder, { recursive: true })
  }
  return store
}

const code = (value: string): Expression => ({ op: 'token', param: 'code', code: value })
const to = (param: string, type: string, id: string): Expression => ({
  op: 'reference',
  param,
  target: { type, id },
})
const team = (of: Expression): Expression => ({ op: 'has', type: 'CareTeam', param: 'patient', of })
const ofPatient = (of: Expression): Expression => ({ op: 'chain', param: 'patient', types: ['Patient', 'Group'], of })
const treated: Expression = {
  op: 'or',
  of: [
    to('general-practitioner', 'Practitioner', 'bob'),
    team({ op: 'and', of: [code('a'), to('participant', 'Practitioner', 'bob')] }),
    { op: 'has', type: 'Encounter', param: 'patient', of: code('b') },
  ],
}

/** Each leads on in another way; the last two lead further than to what refers to the resource. */
const limits: Expression[] = [
  { op: 'and', of: [{ op: 'not', of: code('c') }, ofPatient(treated)] },
  { op: 'or', of: [ofPatient(treated), ofPatient(code('a'))] },
  {
    op: 'and',
    of: [
      { op: 'not', of: ofPatient(team(code('b'))) },
      { op: 'not', of: code('c') },
    ],
  },
  ofPatient({
    op: 'has',
    type: 'CareTeam',
    param: 'patient',
    of: { op: 'chain', param: 'participant', types: ['Practitioner'], of: code('a') },
  }),
  ofPatient(ofPatient(team({ op: 'has', type: 'Encounter', param: 'team', of: code('a') }))),
]
const reaches = (make: (of: Expression) => Expression): Reach[] =>
  limits.map((limit) =>
    reachOf({ Observation: make(limit), Patient: make(treated), Encounter: make(ofPatient(treated)) }),
  )

test('a reach that is kept sees what one made anew sees, whatever was written', async () => {
  const store = await given()
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  let state = seed
  const below = (n: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return Math.floor((state / 0x80000000) * n)
  }
  const pick = <T>(of: readonly T[]): T => of[below(of.length)]!
  const id = () => `${below(4)}`
  const types = ['Patient', 'Group', 'CareTeam', 'Encounter', 'Observation', 'Observation', 'Practitioner']
  const entries = (type: string): IndexEntry[] => [
    token('code', pick(['a', 'b', 'c'])),
    ...(type === 'Practitioner' ? [] : [reference('patient', `${pick(['Patient', 'Patient', 'Group'])}/${id()}`)]),
    ...(type === 'CareTeam' ? [reference('participant', `Practitioner/${pick(['bob', 'ann'])}`)] : []),
    ...(type === 'Encounter' ? [reference('team', `CareTeam/${id()}`)] : []),
    ...(type === 'Patient' && below(3) === 0 ? [reference('general-practitioner', 'Practitioner/bob')] : []),
  ]
  const known = new Map<string, IndexEntry[]>()
  const change = (): Change => {
    const type = pick(types)
    const name = `${type}/${type === 'Practitioner' ? pick(['bob', 'ann']) : id()}`
    if (below(4) === 0) return drop(name)
    const made = entries(type)
    known.set(name, made)
    return put(name, { content: { text: `${below(1e9)}` }, entries: made })
  }
  const kept = reaches((of) => of)
  const answers = async (reach: Reach) => {
    const found: unknown[] = []
    for (const type of ['Observation', 'Patient', 'Encounter']) {
      const read: string[] = []
      for (let i = 0; i < 4; i++) {
        const stored = await store.read({ type, id: `${i}` }, reach)
        if (stored) read.push(`${type}/${i}`)
      }
      // What is decided one by one is what a search of the whole type finds.
      const page = await store.search(query([type]), reach)
      expect([seed, read]).toEqual([seed, namesOf(page).sort()])
      found.push(page.matches.map(({ stored }) => stored.version))
      const wheres: Expression[] = [to('patient', 'Patient', '1'), code('a')]
      for (const where of wheres) found.push(namesOf(await store.search(query([type], where, { total: true }), reach)))
    }
    return found
  }
  const entriesOf = ({ type, id }: Stored) => known.get(`${type}/${id}`)!
  let seen = 0
  for (let round = 0; round < 80; round++) {
    const changes = new Map(
      Array.from({ length: 1 + below(3) }, change).map((each) => [`${each.type}/${each.id}`, each]),
    )
    await store.commit({ changes: [...changes.values()], integrity: false })
    if (round % 20 === 19) {
      for (const [name, made] of known) known.set(name, made.toReversed())
      await store.maintenance.reindex('Patient', 0, 100, entriesOf)
    }
    const anew = reaches((of) => structuredClone(of))
    for (const [i, reach] of kept.entries()) {
      const found = await answers(reach)
      seen += found.flat().filter((each) => each !== undefined).length
      expect([seed, round, i, found]).toEqual([seed, round, i, await answers(anew[i]!)])
    }
  }
  expect(seen).toBeGreaterThan(500)
}, 60_000)

test('reaches of one key that see different things are not taken for each other', async () => {
  const store = await given()
  await store.commit({ changes: [put('Patient/1', { entries: [token('code', 'a')] })], integrity: true })
  const [one, other] = [reachOf({ Patient: code('a') }), reachOf({ Patient: code('b') })]
  expect(one.key).toBe(other.key)
  for (let i = 0; i < 2; i++) {
    expect(await store.read({ type: 'Patient', id: '1' }, one)).toBeDefined()
    expect(await store.read({ type: 'Patient', id: '1' }, other)).toBeUndefined()
  }
})
