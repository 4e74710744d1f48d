import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { CommandRefused, type Operated } from './command.js'
import { askDoor, type Door, openDoor } from './command-door.js'

let folder: string
let door: Door | undefined
const reported: unknown[] = []
const path = () => join(folder, 'a.db.door')

const actions = {
  echo: async (_operated: Operated, input: object) => [JSON.stringify(input)],
  refuse: async () => {
    throw new CommandRefused('There is no such tenant.')
  },
  fail: async () => {
    throw new Error('the password is sesame')
  },
}
const open = () => openDoor(path(), { operated: {} as Operated, actions, report: (error) => void reported.push(error) })

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'door-'))
})
afterEach(async () => {
  await door?.close()
  door = undefined
  rmSync(folder, { recursive: true, force: true })
})

describe('the door of a running server', () => {
  test('carries out what it is asked, and passes sentences on', async () => {
    door = await open()
    expect(await askDoor(path(), 'echo', { name: 'Ämtli', more: ['a'] })).toEqual(['{"name":"Ämtli","more":["a"]}'])
    await expect(askDoor(path(), 'refuse', {})).rejects.toThrow('There is no such tenant.')
    await expect(askDoor(path(), 'constructor', {})).rejects.toThrow('of another version')
  })

  test('tells of its own errors in the log alone', async () => {
    door = await open()
    await expect(askDoor(path(), 'fail', {})).rejects.toThrow(/^The running server failed; its log has the reason\.$/)
    expect(String(reported.at(-1))).toContain('sesame')
  })

  test('is for the user of the server alone', async () => {
    door = await open()
    expect(statSync(path()).mode & 0o077).toBe(0)
  })

  test('is not there when no server is', async () => {
    expect(await askDoor(path(), 'echo', {})).toBeUndefined()
    door = await open()
    await door!.close()
    expect(await askDoor(path(), 'echo', {})).toBeUndefined()
  })

  test('takes the place of what a killed server left', async () => {
    const dead = createServer()
    await new Promise<void>((resolve) => dead.listen(path(), resolve))
    rmSync(path())
    writeFileSync(path(), '')
    door = await open()
    expect(await askDoor(path(), 'echo', {})).toEqual(['{}'])
    dead.close()
  })

  test('cannot be where a path is too long for a socket', async () => {
    const options = { operated: {} as Operated, actions, report: () => {} }
    expect(await openDoor(join(folder, 'x'.repeat(120)), options)).toBeUndefined()
  })
})
