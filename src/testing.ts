/**
 * A server for tests: on a free port, with a store of its own that is removed afterwards.
 *
 * The store is a file, or a database on the MongoDB whose address is in TEST_STORE. With TEST_AUDIT=on every access is
 * recorded, as it is in a hospital.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import { readConfig } from './config.js'
import { type Server, type ServerWiring, startServer } from './server.js'

export type TestServer = Server & {
  /** The FHIR base by address: what links are written with names localhost. */
  fhir: string
}

export async function startTestServer(
  settings: Record<string, string> = {},
  wiring: ServerWiring = {},
): Promise<TestServer> {
  const store = storeOfItsOwn(process.env['TEST_STORE'])
  const config = readConfig({
    PORT: '0',
    AUTH: 'off',
    STORE: store.url,
    LOG_LEVEL: 'silent',
    AUDIT: process.env['TEST_AUDIT'] ?? '',
    CLOSE_TIMEOUT: '1',
    ...settings,
  })
  const server = await startServer(config, wiring)
  return {
    ...server,
    fhir: `${server.origin}/fhir`,
    close: async () => {
      await server.close()
      await store.remove()
    },
  }
}

type TestStore = { url: string; remove(): Promise<void> }

function storeOfItsOwn(mongodb: string | undefined): TestStore {
  if (mongodb) return database(mongodb)
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
  return {
    url: `sqlite:${join(folder, 'test.db')}`,
    remove: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

function database(server: string): TestStore {
  const name = `test-${randomBytes(6).toString('hex')}`
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    url: url.href,
    remove: async () => {
      const client = new MongoClient(server)
      await client.db(name).dropDatabase()
      await client.close()
    },
  }
}
