/**
 * A server as a hospital runs it, with people who have real credentials and an app in the browser.
 *
 * Codes are printed on the console, as they are for who tries the server out, and read from there.
 */
import { afterAll, beforeAll } from '@jest/globals'
import { pino } from 'pino'
import { openAuthorization } from '../../src/authorization.js'
import { readConfig } from '../../src/config.js'
import { Directory } from '../../src/identities.js'
import { type CallerSpec, mintToken, type Registration } from '../../src/smart/index.js'
import { startTestServer, type TestServer } from '../../src/testing.js'
import { type BrowserApp, startBrowserApp } from './browser-app.js'
import { hospital, limits, putInto } from './world.js'

export const password = 'seven brown hens'

export type BrowserWorld = {
  server: TestServer
  base: string
  issuer: string
  app: BrowserApp
  /** A page whose origin nobody registered. */
  stranger: BrowserApp
  /** The link that was printed while there was nobody. */
  first: string
  /** Subject of the doctor. */
  bob: string
  register(registration?: Partial<Registration>): Promise<string>
  mint(spec: CallerSpec): Promise<string>
  /** The last six digits that were printed for somebody. */
  codeTo(contact: string): Promise<string>
}

export function browserWorld(): () => BrowserWorld {
  let made: { world: BrowserWorld; close(): Promise<void> } | undefined
  beforeAll(async () => {
    made = await start()
  })
  afterAll(() => made?.close())
  return () => made!.world
}

async function start(): Promise<{ world: BrowserWorld; close(): Promise<void> }> {
  const settings = { AUTH: 'on', MAIL: 'console', ...limits }
  const log = pino({ level: 'silent' })
  const printed = printedOnConsole()
  const [server, app, stranger] = await Promise.all([
    startTestServer(settings, { log }),
    startBrowserApp(),
    startBrowserApp(),
  ])
  const first = await server.firstAdministrator()
  const config = readConfig(settings)
  const world = (await server.site.world('default'))!
  const directory = new Directory({ config, site: server.site, log })
  const options = { config, site: server.site, log, identities: directory.identities }
  const authorization = await openAuthorization(world, options)
  await hospital({ put: putInto(world), accounts: new Map() })
  const people = await directory.of(world)
  const bob = await people.create({
    name: 'Dr Bob',
    role: 'doctor',
    user: { type: 'Practitioner', id: 'bob' },
    organizations: ['general'],
    userName: 'bob',
    password,
  })
  await people.create({
    name: 'Ada Amin',
    role: 'patient',
    user: { type: 'Patient', id: 'ada' },
    contacts: ['ada@example.org'],
  })
  return {
    world: {
      server,
      base: server.baseUrl,
      issuer: authorization.context.issuer,
      app,
      stranger,
      first: first!,
      bob: bob.subject,
      register: async (registration = {}) => {
        const { client } = await authorization.clients.register({
          name: 'Growth chart',
          redirectUris: [app.redirectUri],
          ...registration,
        })
        return client.id
      },
      mint: (spec) => mintToken(authorization, spec),
      codeTo: (contact) => printed.codeTo(contact),
    },
    close: async () => {
      printed.end()
      await Promise.all([server.close(), app.close(), stranger.close()])
    },
  }
}

/** What is written to standard output, until `end`. */
function printedOnConsole() {
  const texts: string[] = []
  const { write } = process.stdout
  process.stdout.write = ((text: string | Uint8Array, ...more: never[]) => {
    const isMessage = typeof text === 'string' && text.startsWith('\n  To ')
    if (isMessage) texts.push(text)
    return isMessage || write.call(process.stdout, text, ...more)
  }) as typeof write
  return {
    codeTo: async (contact: string): Promise<string> => {
      for (let waits = 0; waits < 100; waits++) {
        const code = /\b\d{6}\b/.exec(texts.filter((text) => text.includes(contact)).at(-1) ?? '')?.[0]
        if (code !== undefined) return code
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      throw new Error(`no code was printed for ${contact}`)
    },
    end: () => {
      process.stdout.write = write
    },
  }
}
