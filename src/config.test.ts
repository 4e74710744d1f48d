import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { ConfigError, readConfig, rows } from './config.js'

const message = (environment: NodeJS.ProcessEnv): string => {
  try {
    readConfig(environment)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return 'accepted'
}

/** What production needs at least. */
const production = {
  NODE_ENV: 'production',
  AUTH: 'on',
  BASE_URL: 'https://h.example/fhir',
  MAIL: 'smtp://mail.h.example',
  SMS: 'https://sms.h.example/send',
  WEBHOOK_KEY: 'sixteen or more characters',
  MASTER_KEY: '0123456789abcdef'.repeat(4),
}

describe('settings', () => {
  test('an empty environment gives the defaults', () => {
    expect(readConfig({})).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      baseUrl: undefined,
      store: { kind: 'sqlite', path: './data/hospital.db' },
      auth: 'on',
      corsOrigins: [],
      bodyMax: 32 * 1024 * 1024,
      requestTimeoutMs: 120_000,
      integrity: true,
    })
  })

  test('a store is a file or a MongoDB, whose password is not shown', () => {
    const url = 'mongodb+srv://me:word@db.example/x?tls=true'
    expect(readConfig({ STORE: url }).store).toEqual({ kind: 'mongodb', url })
    expect(rows.find(({ variable }) => variable === 'STORE')?.show?.(url)).toBe(
      'mongodb+srv://(hidden)@db.example/x?tls=true',
    )
  })

  test('the name with our prefix stands before the plain one', () => {
    expect(readConfig({ PORT: '1', HOSPITALLINK_PORT: '2' }).port).toBe(2)
    expect(readConfig({ PORT: '1' }).port).toBe(1)
  })

  test('an empty variable is one that is not set', () => expect(readConfig({ PORT: '' }).port).toBe(8080))

  test.each([
    ['PORT', '80a', /PORT=80a must be a whole number from 0 to 65535/],
    ['PORT', '70000', /whole number/],
    ['PAGE_SIZE', '-1', /PAGE_SIZE=-1 must be a whole number/],
    ['STORE', 'mongodb:///x', /must be sqlite:PATH/],
    ['STORE', 'postgres://x', /must be sqlite:PATH/],
    ['STORE', 'sqlite:', /must be sqlite:PATH/],
    ['BASE_URL', '/fhir', /must be an absolute URL/],
    ['BASE_URL', 'ftp://host/fhir', /must be an absolute URL/],
    ['BASE_URL', 'https://host/fhir?x=1', /must be an absolute URL/],
    ['ZONE', 'Kampala', /IANA time zone such as UTC or Africa\/Kampala/],
    ['BODY_MAX', '1tb', /size up to 512mb/],
    ['BODY_MAX', '0', /size up to 512mb/],
    ['COMPRESS', 'yes', /must be on or off/],
    ['HANDLING', 'loose', /must be one of strict, lenient/],
    ['CORS_ORIGINS', 'https://a.example/path', /must be origins/],
    ['AUTH', 'maybe', /must be one of on, off/],
    ['TRUSTED_PROXIES', 'proxy.example', /must be addresses or networks/],
    ['OUTBOUND_ALLOW', 'http://peer.example', /http: is allowed on loopback alone/],
  ])('%s=%s is refused with what it must be', (name, value, expected) => {
    expect(message({ [name]: value })).toMatch(expected)
  })

  test('a variable with our prefix that is no setting is refused with the nearest spelling', () => {
    expect(message({ HOSPITALLINK_PAGESIZE: '5' })).toBe(
      'There is no setting HOSPITALLINK_PAGESIZE; did you mean HOSPITALLINK_PAGE_SIZE?',
    )
  })

  test.each([['0.0.0.0'], ['::'], ['192.168.1.5'], ['hospital.example']])('AUTH=off is refused on HOST=%s', (host) => {
    expect(message({ AUTH: 'off', HOST: host })).toMatch(/reachable by others/)
  })

  test.each([['127.0.0.1'], ['127.5.5.5'], ['::1'], ['localhost']])('AUTH=off is allowed on HOST=%s', (host) => {
    expect(message({ AUTH: 'off', HOST: host })).toBe('accepted')
  })

  test('AUTH=off is refused in production', () => {
    expect(message({ AUTH: 'off', NODE_ENV: 'production' })).toMatch(/AUTH=off .*refused while NODE_ENV=production/)
  })

  test('http: to this machine is refused in production', () => {
    const environment = {
      ...production,
      OUTBOUND_ALLOW: 'peer.internal,10.0.0.0/8',
    }
    expect(message(environment)).toBe('accepted')
    expect(message({ ...environment, OUTBOUND_ALLOW: 'http://localhost' })).toMatch(/refused while NODE_ENV/)
  })

  test.each([[{}], [{ BASE_URL: 'http://hospital.example/fhir' }]])(
    'production needs the https: address it has: %j',
    (more) => {
      expect(message({ ...production, BASE_URL: '', ...more })).toMatch(/BASE_URL must be set to the https: address/)
    },
  )

  test.each([
    [{ AUTH: 'off' }, /AUTH=off .*refused while NODE_ENV=production/],
    [{ MAIL: 'console' }, /MAIL=console .*refused while NODE_ENV=production/],
    [{ SMS: '' }, /SMS=console \(default\) .*refused while NODE_ENV=production/],
    [{ MASTER_KEY: '' }, /MASTER_KEY must be set/],
    [{ WEBHOOK_KEY: 'short' }, /WEBHOOK_KEY must have 16 characters/],
  ])('production refuses %j', (more, expected) => {
    expect(message(production)).toBe('accepted')
    expect(message({ ...production, ...more })).toMatch(expected)
  })

  test('a certificate needs its key', () => {
    expect(message({ TLS_CERT: 'c.pem' })).toBe('TLS_CERT and TLS_KEY are set together or not at all.')
  })

  test('a page is never larger than the largest page', () => {
    expect(message({ PAGE_SIZE: '500', PAGE_SIZE_MAX: '100' })).toMatch(/PAGE_SIZE must not be larger/)
  })

  test('sizes and lists are read', () => {
    expect(readConfig({ BODY_MAX: '2MB', CORS_ORIGINS: 'https://a.example, http://localhost:3000' })).toMatchObject({
      bodyMax: 2 * 1024 * 1024,
      corsOrigins: ['https://a.example', 'http://localhost:3000'],
    })
  })

  test('a base URL has no slash at its end', () => {
    expect(readConfig({ BASE_URL: 'https://hospital.example/fhir/' }).baseUrl).toBe('https://hospital.example/fhir')
  })

  test('docs/operating.md shows the table as it is', () => {
    const page = readFileSync(new URL('../docs/operating.md', import.meta.url), 'utf8')
    for (const { variable, type, default: fallback, sentence } of rows)
      expect(page).toContain(
        `| \`${variable}\` | ${type} | ${fallback === '' ? '' : `\`${fallback}\``} | ${sentence} |`,
      )
  })
})
