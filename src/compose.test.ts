/**
 * compose.yaml: read as YAML and held against the settings; nothing here has been run by Docker.
 *
 * https://docs.docker.com/reference/compose-file/
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { readConfig, rows } from './config.js'

type Service = {
  image: string
  environment?: Record<string, string>
  healthcheck?: { test: string[] }
  volumes?: string[]
  ports?: string[]
  depends_on?: Record<string, { condition: string }>
  stop_grace_period?: string
}
type Compose = { services: Record<string, Service>; volumes: Record<string, null> }

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))
const { load } = createRequire(import.meta.url)('js-yaml') as { load(text: string): unknown }
const text = readFileSync(at('compose.yaml'), 'utf8')
const { services, volumes } = load(text) as Compose
const servers = ['server1', 'server2'].map((name) => services[name]!)
const members = ['mongo1', 'mongo2', 'mongo3']

const given: Record<string, string> = {
  BASE_URL: 'https://hospital.example/fhir',
  STORE_PASSWORD: 'ab12',
  MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
  PEPPER: Buffer.alloc(32, 2).toString('base64'),
  MAIL: 'smtp://mail.hospital.example',
  MAIL_FROM: 'hospitallink@hospital.example',
  SMS: 'https://sms.hospital.example/send',
  WEBHOOK_KEY: Buffer.alloc(32, 3).toString('base64'),
}

/** As Compose fills in what stands in `${…}`. */
const filled = (value: string): string =>
  value.replace(
    /\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}/g,
    (_, name: string, fallback?: string) => given[name] ?? fallback ?? '',
  )

test('every variable of the servers is a setting, and production takes them', () => {
  const known = [...rows.map(({ variable }) => variable), 'NODE_ENV']
  for (const { environment } of servers) {
    expect(Object.keys(environment!).filter((name) => !known.includes(name))).toEqual([])
    const config = readConfig(
      Object.fromEntries(Object.entries(environment!).map(([name, value]) => [name, filled(value)])),
    )
    expect(config).toMatchObject({ auth: 'on', audit: true, host: '0.0.0.0', port: 8080 })
    expect(config.store).toEqual({
      kind: 'mongodb',
      url: 'mongodb://hospitallink:ab12@mongo1,mongo2,mongo3/hospitallink?replicaSet=rs0&authSource=hospitallink',
    })
    expect(Number.parseInt(servers[0]!.stop_grace_period!, 10)).toBeGreaterThan(config.closeTimeoutMs / 1000)
  }
})

test('no secret has a default', () => {
  const secrets = rows.filter(({ secret }) => secret).map(({ variable }) => variable)
  for (const { environment = {} } of Object.values(services))
    for (const [name, value] of Object.entries(environment))
      if (secrets.includes(name) || /PASSWORD|KEY/.test(name))
        expect([name, value]).toEqual([name, expect.stringMatching(/^\$\{\w+:\?[^}]+\}$/)])
  expect(text).not.toMatch(/:\/\/[^$\s]*:[^$\s/]+@/)
})

test('three members keep their data in volumes of their own, and are asked how they are', () => {
  for (const name of members) {
    expect(services[name]!.volumes).toEqual([`${name}:/data/db`])
    expect(Object.keys(volumes)).toContain(name)
    expect(services[name]!.healthcheck!.test.join(' ')).toContain('mongosh')
    // Nobody outside reaches a member.
    expect(services[name]!.ports).toBeUndefined()
  }
  expect(readFileSync(at('scripts/compose/setup.js'), 'utf8')).toContain(
    JSON.stringify(members).replaceAll('"', "'").replaceAll(',', ', '),
  )
})

test('the proxy stands before both servers and asks /health', () => {
  const proxy = readFileSync(at('scripts/compose/haproxy.cfg'), 'utf8')
  for (const name of ['server1', 'server2']) expect(proxy).toMatch(new RegExp(`^ +server ${name} ${name}:8080$`, 'm'))
  expect(proxy).toContain('GET /health')
  expect(Object.keys(services['proxy']!.depends_on!)).toEqual(['server1', 'server2'])
  expect(
    Object.entries(services)
      .filter(([, { ports }]) => ports)
      .map(([name]) => name),
  ).toEqual(['proxy'])
})

test('files that are mounted are there', () => {
  const files = Object.values(services)
    .flatMap(({ volumes: mounted = [] }) => mounted)
    .map((each) => each.split(':')[0]!)
    .filter((each) => each.startsWith('./'))
  expect(files.filter((file) => !existsSync(at(file)))).toEqual([])
  expect(files.length).toBeGreaterThan(1)
})
