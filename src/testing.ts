/**
 * A server for tests: on a free port, with a store of its own in a folder that is removed afterwards.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from './config.js'
import { type Server, startServer, type Wiring } from './server.js'

export type TestServer = Server & {
  /** The FHIR base by address: what links are written with names localhost. */
  fhir: string
}

export async function startTestServer(settings: Record<string, string> = {}, wiring: Wiring = {}): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
  const config = readConfig({
    PORT: '0',
    STORE: `sqlite:${join(folder, 'test.db')}`,
    LOG_LEVEL: 'silent',
    CLOSE_TIMEOUT: '1',
    ...settings,
  })
  const server = await startServer(config, wiring)
  return {
    ...server,
    fhir: `${server.origin}/fhir`,
    close: async () => {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
