import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import { breached } from './breached.js'
import { cost, passwords } from './passwords.js'
import { turns } from './turns.js'

const never = async (): Promise<boolean> => false
const password = 'seven brown hens'
const old = 'o'.repeat(32)
const young = 'y'.repeat(32)

describe('passwords', () => {
  test('are kept as argon2id with at least 19 MiB and two passes', async () => {
    const kept = await passwords({ peppers: [], breached: never }).make(password, [])
    expect(kept).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect([cost.memoryCost, cost.timeCost, cost.parallelism]).toEqual([19_456, 2, 1])
  })

  test('are right or wrong, and wrong where there is nobody', async () => {
    const { make, check } = passwords({ peppers: [], breached: never })
    const kept = await make(password, [])
    expect(await check(password, kept)).toEqual({ right: true })
    expect(await check('seven brown hen', kept)).toEqual({ right: false })
    expect(await check(password, undefined)).toEqual({ right: false })
    expect(await check('x'.repeat(10_000), kept)).toEqual({ right: false })
  })

  test('composed and decomposed letters are the same password', async () => {
    const { make, check } = passwords({ peppers: [], breached: never })
    expect(await check('mot\u0065\u0301 de passe long', await make('mot\u00e9 de passe long', []))).toEqual({
      right: true,
    })
  })

  test('what was made with less, or another pepper, is made anew when its owner signs in', async () => {
    const weak = await hash(password, { memoryCost: 8192, timeCost: 1 })
    const bare = passwords({ peppers: [], breached: never })
    const { renewed } = await bare.check(password, weak)
    expect(renewed).toMatch(/m=19456,t=2/)
    const peppered = await passwords({ peppers: [old], breached: never }).make(password, [])
    const both = passwords({ peppers: [young, old], breached: never })
    const changed = await both.check(password, peppered)
    expect(changed.right).toBe(true)
    expect(await passwords({ peppers: [young], breached: never }).check(password, changed.renewed)).toEqual({
      right: true,
    })
    expect((await both.check('wrong password!', peppered)).renewed).toBeUndefined()
  })

  test('a hash without its pepper is of no use', async () => {
    const peppered = await passwords({ peppers: [old], breached: never }).make(password, [])
    expect((await passwords({ peppers: [young], breached: never }).check(password, peppered)).right).toBe(false)
    expect((await passwords({ peppers: [], breached: never }).check(password, peppered)).right).toBe(false)
  })

  test.each([
    ['eleven char', [], 'short'],
    ['é'.repeat(600), [], 'long'],
    ['aaaaaaaaaaaaaa', [], 'known'],
    ['abcabcabcabcabc', [], 'known'],
    ['abcdefghijklmno', [], 'known'],
    ['123456789012345', [], 'known'],
    ['password1234', [], 'known'],
    ['Passw0rd!!!!', [], 'known'],
    ['nakato.sarah1', ['nakato.sarah'], 'known'],
  ])('%s with %j is refused: %s', async (text, context, kind) => {
    const { make } = passwords({ peppers: [], breached: await breached() })
    await expect(make(text, context)).rejects.toMatchObject({ kind })
  })

  test.each([['correct zebra stapler'], ['mvua kubwa ya masika'], ['ünïcödé pàsswörd'], ['x8#kq0!zz7fm']])(
    '%s is allowed: there are no rules of composition',
    async (text) => {
      const { make } = passwords({ peppers: [], breached: await breached() })
      await expect(make(text, ['nakato'])).resolves.toMatch(/argon2id/)
    },
  )
})

describe('a file of breached passwords', () => {
  const known = Array.from({ length: 1000 }, (_, at) => `breached password ${at}`)
  const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex').toUpperCase()
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'breached-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test.each([
    ['with counts', (hash: string, at: number) => `${hash}:${at}\n`],
    ['without', (hash: string) => `${hash}\n`],
    ['with carriage returns', (hash: string, at: number) => `${hash}:${at * 1000}\r\n`],
  ])('%s: every line is found, and nothing else', async (name, line) => {
    const path = join(folder, name)
    writeFileSync(path, known.map(sha1).sort().map(line).join(''))
    const isBreached = await breached(path)
    const found = await Promise.all(known.map(isBreached))
    expect(found.filter((each) => !each)).toEqual([])
    const others = await Promise.all(known.map((each) => isBreached(`not ${each}`)))
    expect(others.filter(Boolean)).toEqual([])
  })

  test('of one line without an end', async () => {
    const path = join(folder, 'one')
    writeFileSync(path, sha1('the only one of them'))
    expect(await (await breached(path))('the only one of them')).toBe(true)
    expect(await (await breached(path))('another one of them')).toBe(false)
  })

  test('that holds no hashes is refused at the start', async () => {
    const path = join(folder, 'words')
    writeFileSync(path, 'password\nletmein\n')
    await expect(breached(path)).rejects.toThrow(/no SHA-1 hashes/)
    await expect(breached(join(folder, 'none'))).rejects.toThrow(/ENOENT/)
  })
})

test('turns: some run, some wait in order, the others are told to come back', async () => {
  const { take } = turns({ atOnce: 2, waitingMax: 3 })
  const ends: (() => void)[] = []
  const began: number[] = []
  const work = (at: number) =>
    take(async () => {
      began.push(at)
      await new Promise<void>((resolve) => ends.push(resolve))
      if (at === 1) throw new Error('failed')
      return at
    })
  const all = Array.from({ length: 6 }, (_, at) => work(at).catch((error: Error) => error.message))
  await Promise.resolve()
  expect(began).toEqual([0, 1])
  for (let at = 0; at < 5; at++) {
    ends[at]!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await Promise.all(all)).toEqual([0, 'failed', 2, 3, 4, 'busy'])
  expect(began).toEqual([0, 1, 2, 3, 4])
})
