/**
 * Every setting of the server: one table, read once from the environment into a typed value.
 *
 * Each setting is an environment variable, plain (`PORT`) or with our prefix (`HOSPITALLINK_PORT`), which stands before
 * the plain one. Unknown variables with the prefix are refused, so that a misspelt safeguard is noticed at the start.
 * docs/operating.md shows this table; a test keeps the two the same.
 */

import type { BlockList } from 'node:net'
import { type Allowed, allowedOf, networksOf } from './access/index.js'
import { isResourceType } from './fhir/index.js'
import type { Enforced, Enforcement } from './interactions/index.js'

/** One row. `developmentOnly` names the values that NODE_ENV=production refuses. */
export type Setting<T> = {
  variable: string
  /** What people may write, for the documentation. */
  type: string
  /** As text, the way it would be written in the environment; '' when there is none. */
  default: string
  sentence: string
  read: (text: string) => T
  secret?: true
  /** The text as it may be seen, where a part of it is secret. */
  show?(text: string): string
  developmentOnly?(value: T): boolean
}

/** A setting that cannot be used as it is written; the message says what to write instead. */
export class ConfigError extends Error {}

const text = (variable: string, fallback: string, sentence: string): Setting<string> => ({
  variable,
  type: 'text',
  default: fallback,
  sentence,
  read: (value) => value,
})

function integer(
  variable: string,
  fallback: number,
  [min, max]: [min: number, max: number],
  sentence: string,
): Setting<number> {
  return {
    variable,
    type: `whole number, ${min} to ${max}`,
    default: String(fallback),
    sentence,
    read: (value) => {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      if (!(number >= min && number <= max)) throw new ConfigError(`must be a whole number from ${min} to ${max}`)
      return number
    },
  }
}

function choice<const T extends string>(
  variable: string,
  fallback: T,
  values: readonly T[],
  sentence: string,
  developmentOnly?: (value: T) => boolean,
): Setting<T> {
  return {
    variable,
    type: values.map((value) => `\`${value}\``).join(', '),
    default: fallback,
    sentence,
    read: (value) => {
      const found = values.find((each) => each === value)
      if (found === undefined) throw new ConfigError(`must be one of ${values.join(', ')}`)
      return found
    },
    ...(developmentOnly && { developmentOnly }),
  }
}

function onOff(variable: string, fallback: 'on' | 'off', sentence: string): Setting<boolean> {
  return {
    variable,
    type: '`on`, `off`',
    default: fallback,
    sentence,
    read: (value) => {
      if (value !== 'on' && value !== 'off') throw new ConfigError('must be on or off')
      return value === 'on'
    },
  }
}

const units: Record<string, number> = { '': 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

function bytes(variable: string, fallback: string, sentence: string): Setting<number> {
  return {
    variable,
    type: 'size, such as `64mb`',
    default: fallback,
    sentence,
    read: (value) => {
      const [, number, unit] = /^(\d{1,9})(|kb|mb|gb)$/i.exec(value) ?? []
      const size = number === undefined ? 0 : Number(number) * units[unit!.toLowerCase()]!
      // Node cannot hold a longer body in one string.
      if (size < 1 || size > 512 * 1024 ** 2) throw new ConfigError('must be a size up to 512mb, such as 64mb')
      return size
    },
  }
}

function seconds(variable: string, fallback: number, max: number, sentence: string): Setting<number> {
  const setting = integer(variable, fallback, [1, max], sentence)
  return { ...setting, type: `seconds, 1 to ${max}`, read: (value) => setting.read(value) * 1000 }
}

/** Where resources live. */
export type StoreUrl = { kind: 'sqlite'; path: string } | { kind: 'mongodb'; url: string }

function storeUrl(value: string): StoreUrl {
  if (/^mongodb(\+srv)?:\/\/[^/]/.test(value)) return { kind: 'mongodb', url: value }
  const path = value.startsWith('sqlite:') ? value.slice('sqlite:'.length) : ''
  if (path === '')
    throw new ConfigError('must be sqlite:PATH, such as sqlite:./data/hospital.db, or mongodb://HOST/DATABASE')
  return { kind: 'sqlite', path }
}

function baseUrl(value: string): string | undefined {
  if (value === '') return undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '')
    throw new ConfigError('must be an absolute URL such as https://hospital.example/fhir')
  return value.replace(/\/+$/, '')
}

function masterKey(value: string): Uint8Array | undefined {
  if (value === '') return undefined
  const key = Buffer.from(value, /^[0-9a-f]{64}$/i.test(value) ? 'hex' : 'base64')
  if (key.length !== 32) throw new ConfigError('must be 32 bytes, such as `openssl rand -base64 32` prints')
  return key
}

/** `name=value` by name, separated by commas. */
const pairs = (value: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    value
      .split(',')
      .map((pair) => pair.trim())
      .filter((pair) => pair !== '')
      .map((pair) => {
        const at = pair.indexOf('=')
        if (at < 1 || at === pair.length - 1) throw new ConfigError('must be pairs such as a=b, separated by commas')
        return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
      }),
  )

function enforced(value: string): Enforced {
  const found = new Map<string, Enforcement>()
  for (const [type, how] of Object.entries(pairs(value))) {
    if (type !== '*' && !isResourceType(type))
      throw new ConfigError(`must name types of resources, or *; ${type} is none`)
    const canonicals = how.split(' ').filter((each) => each !== '')
    if (how !== 'off' && how !== 'known' && canonicals.some((each) => !each.includes(':')))
      throw new ConfigError('must say off, known, or the canonical URLs of profiles')
    found.set(type, how === 'off' || how === 'known' ? how : canonicals)
  }
  return found
}

function zone(value: string): string {
  try {
    new Intl.DateTimeFormat('en', { timeZone: value })
  } catch (cause) {
    throw new ConfigError('must be an IANA time zone such as UTC or Africa/Kampala', { cause })
  }
  return value
}

const origins = (value: string): readonly string[] =>
  value
    .split(',')
    .map((origin) => origin.trim())
    .filter((origin) => origin !== '')
    .map((origin) => {
      if (origin !== '*' && (!URL.canParse(origin) || new URL(origin).origin !== origin))
        throw new ConfigError('must be origins such as https://app.example, separated by commas, or *')
      return origin
    })

function allowList(value: string): Allowed {
  const entries = value.split(',').map((entry) => entry.trim())
  try {
    return allowedOf(entries.filter((entry) => entry !== ''))
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new ConfigError(`must be hosts, networks or http: origins of this machine: ${cause.message}`, { cause })
  }
}

function proxies(value: string): BlockList | undefined {
  const entries = value.split(',').map((entry) => entry.trim())
  if (value === '') return undefined
  try {
    return networksOf(entries)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new ConfigError(`must be addresses or networks: ${cause.message}`, { cause })
  }
}

const secretText = (variable: string, sentence: string): Setting<string> => ({
  ...text(variable, '', sentence),
  secret: true,
})

/** How messages of one kind go out. */
function delivery(
  variable: string,
  isAllowed: (value: string) => boolean,
  types: string,
  sentence: string,
): Setting<string> {
  return {
    variable,
    type: types,
    default: 'console',
    sentence,
    read: (value) => {
      if (value !== 'console' && value !== 'none' && !(URL.canParse(value) && isAllowed(value)))
        throw new ConfigError(`must be ${types}`)
      return value
    },
    show: (value) => value.replace(/\/\/[^/?]*@/, '//(hidden)@'),
    developmentOnly: (value) => value === 'console',
  }
}

const isWebhook = (value: string): boolean => /^https?:\/\//.test(value)

export const settings = {
  host: text('HOST', '127.0.0.1', 'Address to listen on. `AUTH=off` allows only loopback addresses.'),
  port: integer('PORT', 8080, [0, 65535], 'Port to listen on; 0 takes a free one.'),
  baseUrl: {
    variable: 'BASE_URL',
    type: 'URL',
    default: '',
    sentence: 'The FHIR base as clients see it; links are written with it. Unset: `http://localhost:PORT/fhir`.',
    read: baseUrl,
  },
  store: {
    variable: 'STORE',
    type: '`sqlite:PATH`, `mongodb://…`, `mongodb+srv://…`',
    default: 'sqlite:./data/hospital.db',
    sentence: 'Where resources live: a file, whose folder is made when it is missing, or a MongoDB replica set.',
    read: storeUrl,
    show: (text: string) => text.replace(/\/\/[^/?]*@/, '//(hidden)@'),
  },
  storeTimeoutMs: seconds(
    'STORE_TIMEOUT',
    30,
    600,
    'How long MongoDB may take to answer, a write with its tries included; then clients are told 503 and to try again.',
  ),
  auth: choice(
    'AUTH',
    'on',
    ['on', 'off'],
    'Who may ask. `on`: who brings a token. `off`: everybody who reaches the port may do everything; for trying out, on loopback only.',
    (value) => value === 'off',
  ),
  audit: {
    variable: 'AUDIT',
    type: '`on`, `off`',
    default: '',
    sentence:
      'Whether every access is recorded before it is answered. Unset: as AUTH; `off` only together with `AUTH=off`.',
    read: (value): boolean | undefined => {
      if (value === '') return undefined
      if (value !== 'on' && value !== 'off') throw new ConfigError('must be on or off')
      return value === 'on'
    },
  },
  auditAnchors: text(
    'AUDIT_ANCHORS',
    '',
    'File that signed heads of the audit log are appended to, or `stdout`: keep them where the operator of the store cannot write.',
  ),
  masterKey: {
    variable: 'MASTER_KEY',
    type: '32 bytes in base64 or hex',
    default: '',
    sentence:
      'Encrypts the private keys in the store (`openssl rand -base64 32`). Unset: they are as safe as the store is.',
    read: masterKey,
    secret: true,
  },
  externalIssuer: {
    variable: 'EXTERNAL_ISSUER',
    type: 'URL',
    default: '',
    sentence:
      "The hospital's own identity provider: its access tokens are accepted besides ours, by the default tenant.",
    read: baseUrl,
  },
  externalAudience: text('EXTERNAL_AUDIENCE', '', 'The `aud` of its access tokens. Unset: the FHIR base.'),
  externalJwksUri: {
    variable: 'EXTERNAL_JWKS_URI',
    type: 'URL',
    default: '',
    sentence: 'Where its keys are. Unset: where its OpenID configuration says.',
    read: baseUrl,
  },
  externalClaims: {
    variable: 'EXTERNAL_CLAIMS',
    type: 'pairs such as `role=realm_access.roles`',
    default: 'fhirUser=fhirUser,role=roles,organizations=organizations,scope=scope',
    sentence: 'Which of its claims say who the person is, their roles, their Organizations and the scopes.',
    read: pairs,
  },
  externalRoles: {
    variable: 'EXTERNAL_ROLES',
    type: 'pairs such as `physician=doctor`',
    default: '',
    sentence: 'What its roles are called here; roles that are not named give no access.',
    read: pairs,
  },
  corsOrigins: {
    variable: 'CORS_ORIGINS',
    type: 'origins, or `*`',
    default: '',
    sentence: 'Web pages of these origins may call the server from a browser, separated by commas.',
    read: origins,
  },
  tlsCert: text('TLS_CERT', '', 'File of the certificate chain (PEM), where the server ends TLS itself.'),
  tlsKey: text('TLS_KEY', '', 'File of its private key (PEM).'),
  trustedProxies: {
    variable: 'TRUSTED_PROXIES',
    type: 'addresses, networks',
    default: '',
    sentence: 'Proxies in front whose `X-Forwarded-For` is believed, separated by commas, such as `10.0.0.0/24`.',
    read: proxies,
  },
  terminologyServer: {
    variable: 'TERMINOLOGY_SERVER',
    type: 'URL',
    default: '',
    sentence:
      'FHIR base of a terminology server that is asked about value sets and codes not known here; only canonicals and codes are sent.',
    read: baseUrl,
  },
  outboundAllow: {
    variable: 'OUTBOUND_ALLOW',
    type: 'hosts, networks, origins',
    default: '',
    sentence:
      'What the server may call besides public https: addresses, separated by commas: `peer.hospital.internal`, `10.2.0.0/16`, for trying out `http://localhost:9000`.',
    read: allowList,
    developmentOnly: ({ http }: Allowed) => http.size > 0,
  },
  mail: delivery(
    'MAIL',
    (value) => isWebhook(value) || /^smtps?:\/\//.test(value),
    '`console`, `none`, `smtp://…`, `smtps://…`, `https://…`',
    'How codes and invitations go out by e-mail: printed for trying out, an SMTP server, or a signed webhook.',
  ),
  mailFrom: text('MAIL_FROM', 'hospitallink@localhost', 'Sender of e-mail.'),
  sms: delivery(
    'SMS',
    isWebhook,
    '`console`, `none`, `https://…`',
    'How codes and invitations go out by SMS: printed for trying out, or a signed webhook.',
  ),
  webhookKey: secretText('WEBHOOK_KEY', 'Key of the HMAC that signs messages to webhooks.'),
  peppers: {
    variable: 'PEPPER',
    type: 'secrets, separated by commas',
    default: '',
    sentence:
      'Kept outside the store and needed to check passwords and codes; a new one stands first, those before stay until everybody has signed in.',
    read: (value: string): readonly string[] => value.split(',').flatMap((each) => each.trim() || []),
    secret: true as const,
  },
  breachedPasswords: text(
    'BREACHED_PASSWORDS',
    '',
    'File of passwords that are refused, as Pwned Passwords publishes it; the commonest are refused without it.',
  ),
  sessionIdleMs: seconds('SESSION_IDLE', 900, 86_400, 'How long staff who do nothing stay signed in.'),
  sessionIdlePatientMs: seconds('SESSION_IDLE_PATIENT', 1800, 86_400, 'The same for patients and guardians.'),
  sessionMaxMs: seconds('SESSION_MAX', 43_200, 604_800, 'How long anybody stays signed in.'),
  profiles: {
    variable: 'PROFILES',
    type: 'pairs such as `Observation=known`',
    default: '',
    sentence:
      'Which profiles writes must keep, by type (`*` for the others): `known` for those of meta.profile that are known here, or canonicals, separated by spaces, of which meta.profile must name one. Unset: none.',
    read: enforced,
  },
  zone: {
    variable: 'ZONE',
    type: 'IANA time zone',
    default: 'UTC',
    sentence: "The hospital's time zone: of dates and times that name none.",
    read: zone,
  },
  pageSize: integer('PAGE_SIZE', 20, [1, 10_000], 'Matches on a page when the client asks for no `_count`.'),
  pageSizeMax: integer('PAGE_SIZE_MAX', 1000, [1, 10_000], 'Most matches on a page, whatever `_count` says.'),
  rateLimit: integer(
    'RATE_LIMIT',
    100,
    [0, 1_000_000],
    'Requests a second of one client or person with `AUTH=on`, twice as many at once; 0 for any number.',
  ),
  rateLimitPatient: integer(
    'RATE_LIMIT_PATIENT',
    20,
    [0, 1_000_000],
    'The same for the apps of patients and guardians.',
  ),
  rateLimitAddress: integer(
    'RATE_LIMIT_ADDRESS',
    20,
    [0, 1_000_000],
    'The same for requests of one address that bring no valid token.',
  ),
  includesMax: integer(
    'INCLUDES_MAX',
    10_000,
    [1, 100_000],
    'Most resources one page may include, or a conditional delete remove.',
  ),
  bundleEntriesMax: integer('BUNDLE_ENTRIES_MAX', 20_000, [1, 1_000_000], 'Most entries of a batch or transaction.'),
  searchValuesMax: integer(
    'SEARCH_VALUES_MAX',
    20_000,
    [100, 10_000_000],
    'Most values of one resource that searches find it by; a large CodeSystem may need more, and others wait longer.',
  ),
  bodyMax: bytes('BODY_MAX', '32mb', 'Largest request body, also after decompression.'),
  urlMax: integer('URL_MAX', 16_384, [256, 60_000], 'Longest URL; longer searches go by `POST _search`.'),
  parametersMax: integer(
    'PARAMETERS_MAX',
    1000,
    [1, 100_000],
    'Most parameters of one request, in URL and form together.',
  ),
  requestTimeoutMs: seconds('REQUEST_TIMEOUT', 120, 3600, 'How long a client may take to send a request.'),
  connectionsMax: integer(
    'CONNECTIONS_MAX',
    5000,
    [1, 1_000_000],
    'Connections held at the same time; more are closed at once.',
  ),
  keepAliveTimeoutMs: seconds('KEEP_ALIVE_TIMEOUT', 65, 3600, 'How long an idle connection stays open.'),
  closeTimeoutMs: seconds(
    'CLOSE_TIMEOUT',
    20,
    600,
    'How long running requests may take to end when the server is stopped.',
  ),
  integrity: onOff(
    'INTEGRITY',
    'on',
    'Refuse references to local resources that are not there, and deletes of what is referred to.',
  ),
  handling: choice(
    'HANDLING',
    'strict',
    ['strict', 'lenient'],
    'Unknown search parameters when the client sends no `Prefer: handling`.',
  ),
  compress: onOff('COMPRESS', 'on', 'Compress answers (br, gzip) for clients that accept it.'),
  logLevel: choice(
    'LOG_LEVEL',
    'info',
    ['silent', 'error', 'warn', 'info', 'debug'],
    'What is logged; `debug` has a line for each request, without ids or parameters.',
  ),
  logFile: text('LOG_FILE', '', 'File the log is appended to instead of standard output.'),
  metricsToken: {
    ...text('METRICS_TOKEN', '', 'Bearer token for `/metrics`. Unset: open with `AUTH=off`, not there with `AUTH=on`.'),
    secret: true,
  },
} satisfies Record<string, Setting<unknown>>

type Read = { readonly [Name in keyof typeof settings]: ReturnType<(typeof settings)[Name]['read']> }

export type Config = Omit<Read, 'audit'> & { readonly audit: boolean }

const prefix = 'HOSPITALLINK_'

/** A row as `hospitallink config` and docs/operating.md show it. */
export const rows: readonly Setting<unknown>[] = Object.values(settings)

/** The text in force for a row, and where it came from. */
export function written(row: Setting<unknown>, environment: NodeJS.ProcessEnv): { text: string; from: string } {
  const name = [prefix + row.variable, row.variable].find((each) => environment[each])
  return name === undefined ? { text: row.default, from: 'default' } : { text: environment[name]!, from: name }
}

/**
 * The settings of an environment.
 *
 * @throws ConfigError that names the variable and says what it must be
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  refuseUnknown(environment)
  const production = environment['NODE_ENV'] === 'production'
  const given = Object.fromEntries(
    Object.entries(settings).map(([name, setting]) => {
      const row: Setting<unknown> = setting
      const { text, from } = written(row, environment)
      const value = read(row, text)
      if (production && row.developmentOnly?.(value))
        throw new ConfigError(
          `${row.variable}=${text} (${from}) is for trying out and refused while NODE_ENV=production.`,
        )
      return [name, value]
    }),
  ) as Read
  const config = { ...given, audit: given.audit ?? given.auth !== 'off' }
  if (!config.audit && config.auth !== 'off')
    throw new ConfigError('AUDIT=off is for AUTH=off: what a person does with their rights is always recorded.')
  if (config.auth === 'off' && !isLoopback(config.host))
    throw new ConfigError(
      `HOST=${config.host} is reachable by others, and AUTH=off would let everybody read everything. Use HOST=127.0.0.1.`,
    )
  if (config.auth === 'on' && production && !config.baseUrl?.startsWith('https:'))
    throw new ConfigError('BASE_URL must be set to the https: address of the server while NODE_ENV=production.')
  if (production && config.auth === 'on' && !config.masterKey)
    throw new ConfigError('MASTER_KEY must be set while NODE_ENV=production: `openssl rand -base64 32` prints one.')
  if ((isWebhook(config.mail) || isWebhook(config.sms)) && config.webhookKey.length < 16)
    throw new ConfigError('WEBHOOK_KEY must have 16 characters at least, so that receivers can trust messages.')
  if ((config.tlsCert === '') !== (config.tlsKey === ''))
    throw new ConfigError('TLS_CERT and TLS_KEY are set together or not at all.')
  if (config.pageSize > config.pageSizeMax) throw new ConfigError('PAGE_SIZE must not be larger than PAGE_SIZE_MAX.')
  return config
}

function read(row: Setting<unknown>, text: string): unknown {
  try {
    return row.read(text)
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause
    throw new ConfigError(`${row.variable}${row.secret ? '' : `=${text}`} ${cause.message}.`, { cause })
  }
}

function refuseUnknown(environment: NodeJS.ProcessEnv): void {
  const known = rows.map(({ variable }) => variable)
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(prefix) || known.includes(name.slice(prefix.length))) continue
    const nearest = known.reduce((best, each) =>
      distance(each, name.slice(prefix.length)) < distance(best, name.slice(prefix.length)) ? each : best,
    )
    throw new ConfigError(`There is no setting ${name}; did you mean ${prefix}${nearest}?`)
  }
}

/** Levenshtein's distance: how many letters must change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
