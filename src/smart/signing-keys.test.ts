import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Database, openSqlite, type Secrets } from '../store/index.js'
import { MasterKeyWrong, SigningKeys } from './signing-keys.js'

const folder = mkdtempSync(join(tmpdir(), 'keys-'))
let database: Database
beforeAll(async () => {
  database = await openSqlite(join(folder, 'test.db'), { includesMax: 10 })
})
afterAll(async () => {
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

const tenant = (name: string): Secrets => database.tenant(name).secrets
const clock = () => Date.now()

describe('signing keys', () => {
  test('two processes agree on them, whoever comes first', async () => {
    const [one, other] = [0, 1].map(() => new SigningKeys({ secrets: tenant('agree'), clock }))
    const [mine, theirs] = await Promise.all([one!.all(), other!.all()])
    expect(mine.map(({ kid }) => kid)).toEqual(theirs.map(({ kid }) => kid))
    expect(mine).toHaveLength(2)
  })

  test('the next one is published before it signs, and the last verifies after', async () => {
    const keys = new SigningKeys({ secrets: tenant('rotate'), clock })
    const [signing, next] = await keys.all()
    expect(await keys.rotate()).toEqual({ kid: next!.kid })
    const after = await keys.all()
    expect(after[0]!.kid).toBe(next!.kid)
    expect(after.map(({ kid }) => kid)).toContain(signing!.kid)
    const published = await keys.publicJwks()
    expect(published.keys.map((key) => key['kid'])).toEqual(after.map(({ kid }) => kid))
    for (const key of published.keys) expect(Object.keys(key)).not.toContain('d')
  })

  test('a day later the last one is forgotten with the next rotation', async () => {
    let now = Date.now()
    const keys = new SigningKeys({ secrets: tenant('forget'), clock: () => now })
    const [first] = await keys.all()
    await keys.rotate()
    now += 2 * 86_400_000
    await keys.rotate()
    expect((await keys.all()).map(({ kid }) => kid)).not.toContain(first!.kid)
  })

  test('with a master key the store holds no private key, and another one opens nothing', async () => {
    const secrets = tenant('sealed')
    const masterKey = randomBytes(32)
    const keys = new SigningKeys({ secrets, clock, masterKey })
    const { kid } = await keys.signing()
    const kept = (await secrets.list('smart/', 100)).map(([, value]) => value).join()
    expect(kept).toContain(kid)
    expect(kept).not.toContain('"d"')
    expect(kept).not.toContain('\\"d\\"')
    expect((await new SigningKeys({ secrets, clock, masterKey }).signing()).kid).toBe(kid)
    await expect(new SigningKeys({ secrets, clock }).signing()).rejects.toBeInstanceOf(MasterKeyWrong)
    await expect(new SigningKeys({ secrets, clock, masterKey: randomBytes(32) }).signing()).rejects.toBeInstanceOf(
      MasterKeyWrong,
    )
  })

  test('a key another process made is found when it is first met', async () => {
    let now = Date.now()
    const secrets = tenant('fresh')
    const [one, other] = [0, 1].map(() => new SigningKeys({ secrets, clock: () => now }))
    await one!.all()
    await other!.rotate()
    await other!.rotate()
    const { kid } = await other!.signing()
    await other!.rotate()
    const newest = (await other!.all())[1]!.kid
    expect(one!.find(newest)).toBeUndefined()
    now += 1500
    expect((await one!.findFresh(newest))?.kid).toBe(newest)
    expect((await one!.findFresh(kid))?.kid).toBe(kid)
    expect(await one!.findFresh('made-up')).toBeUndefined()
  })
})
