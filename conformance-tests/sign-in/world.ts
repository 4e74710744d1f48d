/**
 * A server where people sign in, with a mail server beside it, so that codes and links arrive as they do in life.
 *
 * docs/api/sign-in.md
 */
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { afterAll, beforeAll } from '@jest/globals'
import { pino } from 'pino'
import { SMTPServer } from 'smtp-server'
import { openAuthorization } from '../../src/authorization.js'
import { readConfig } from '../../src/config.js'
import { Directory } from '../../src/identities.js'
import type { AuthorizationServer, People } from '../../src/smart/index.js'
import { TestBrowser } from '../../src/smart/people/testing.js'
import { startTestServer, type TestServer } from '../../src/testing.js'

export type SignInWorld = {
  server: TestServer
  /** Where the pages and endpoints lie. */
  issuer: string
  people: People
  /** Of another tenant. */
  elsewhere: { issuer: string; people: People }
  authorization: AuthorizationServer
  mail: { to: string[]; text: string }[]
  /** The last six digits sent to somebody, waiting for them. */
  codeTo(address: string): Promise<string>
  /** Everything the server logged. */
  logged(): string
  browser(issuer?: string): TestBrowser
}

export function signInWorld(settings: Record<string, string> = {}): () => SignInWorld {
  let made: { world: SignInWorld; close(): Promise<void> } | undefined
  beforeAll(async () => {
    made = await start(settings)
  })
  afterAll(() => made?.close())
  return () => made!.world
}

async function start(settings: Record<string, string>): Promise<{ world: SignInWorld; close(): Promise<void> }> {
  const { mail, smtp, url } = await mailServer()
  const lines: string[] = []
  const log = pino(
    { level: 'debug', base: null },
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString())
        done()
      },
    }),
  )
  const asked = { AUTH: 'on', MAIL: url, MAIL_FROM: 'no-reply@hospital.example', ...unlimited, ...settings }
  const server = await startTestServer(asked, { log })
  const config = readConfig(asked)
  await server.site.addTenant({ name: 'other', title: 'Other' })
  const directory = new Directory({ config, site: server.site, log })
  const issuerOf = (base: string): string => base.replace(/\/fhir$/, '/oauth')
  const [own, other] = await Promise.all(['default', 'other'].map(async (name) => (await server.site.world(name))!))
  const authorization = await openAuthorization(own!, {
    config,
    site: server.site,
    log,
    identities: directory.identities,
  })
  // By address: what links are written with names localhost.
  const by = (base: string): string => issuerOf(base).replace(/^http:\/\/localhost/, 'http://127.0.0.1')
  const world: SignInWorld = {
    server,
    issuer: by(own!.baseUrls[0]!),
    people: await directory.of(own!),
    elsewhere: { issuer: by(other!.baseUrls[0]!), people: await directory.of(other!) },
    authorization,
    mail,
    logged: () => lines.join(''),
    browser: (issuer = by(own!.baseUrls[0]!)) => new TestBrowser(issuer),
    codeTo: async (address) => {
      for (let waits = 0; waits < 100; waits++) {
        const last = mail.filter(({ to }) => to.includes(address)).at(-1)
        const code = last && /\b\d{6}\b/.exec(last.text)?.[0]
        if (code !== undefined) return code
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      throw new Error(`no code was sent to ${address}`)
    },
  }
  return {
    world,
    close: async () => {
      await server.close()
      await new Promise<void>((resolve) => smtp.close(resolve))
    },
  }
}

const unlimited = { RATE_LIMIT: '0', RATE_LIMIT_PATIENT: '0', RATE_LIMIT_ADDRESS: '0' }

async function mailServer() {
  const mail: SignInWorld['mail'] = []
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: (stream, { envelope }, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        // The body alone: ids in the head have digits, too.
        const text = Buffer.concat(chunks)
          .toString()
          .split('\r\n\r\n')
          .slice(1)
          .join('\n')
          .replace(/=\r?\n/g, '')
        mail.push({ to: envelope.rcptTo.map(({ address }) => address), text: text.replaceAll('=3D', '=') })
        done()
      })
    },
  })
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  return { mail, smtp, url: `smtp://127.0.0.1:${(smtp.server.address() as AddressInfo).port}` }
}
