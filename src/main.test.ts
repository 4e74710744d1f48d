import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))
let folder: string
/** Ended with the tests, whatever became of them. */
const children: ChildProcess[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'main-'))
})
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const started = (parameters: string[], environment: Record<string, string> = {}): ChildProcess => {
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...parameters], {
    cwd: root,
    env: {
      ...inherited,
      AUTH: 'off',
      STORE: `sqlite:${join(folder, 'a.db')}`,
      PORT: '0',
      LOG_LEVEL: 'silent',
      ...environment,
    },
  })
  children.push(child)
  return child
}

type Ended = { code: number | null; out: string; err: string }

function ended(child: ChildProcess): Promise<Ended> {
  let out = ''
  let err = ''
  child.stdout!.on('data', (chunk) => {
    out += chunk
  })
  child.stderr!.on('data', (chunk) => {
    err += chunk
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

const run = (parameters: string[], environment?: Record<string, string>): Promise<Ended> =>
  ended(started(parameters, environment))

/** The base URL of a server that has said that it answers. */
const baseOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) =>
    child.stdout!.on('data', (chunk) => {
      const [, url] = /answers at (\S+)/.exec(String(chunk)) ?? []
      if (url !== undefined) resolve(url)
    }),
  )

describe('the command line', () => {
  test('shows help and its version', async () => {
    const help = await run(['--help'])
    expect(help.code).toBe(0)
    for (const command of [
      'serve',
      'load',
      'reindex',
      'check',
      'backup',
      'config',
      'tenant',
      'user',
      'client',
      'token',
      'keys',
      'fixtures',
      'audit',
    ])
      expect(help.out).toContain(command)
    expect((await run(['load', '--help'])).out).toContain('--to')
    expect((await run(['version'])).out).toMatch(/^hospitallink \d+\.\d+\.\d+, FHIR 4\.0\.1, Node /)
  })

  test.each([
    [['bogus'], {}, "unknown command 'bogus'"],
    [['load'], {}, "missing required argument 'path'"],
    [['load', '/nowhere'], {}, '/nowhere does not exist'],
    [['load', 'package.json', '--to', 'localhost'], {}, '--to must be an absolute URL'],
    [['load', 'package.json', '--jobs', 'many'], {}, 'number from 1 to 64'],
    [['reindex', '--type', 'Patients'], {}, 'no resource type "Patients"'],
    [['backup', '/nowhere.db'], {}, 'there is no store at'],
    [['serve'], { PORT: 'x' }, 'PORT=x must be a whole number'],
    [['serve'], { HOSPITALLINK_PROT: '1' }, 'did you mean HOSPITALLINK_PORT?'],
    [['serve'], { HOST: '0.0.0.0' }, 'reachable by others'],
    [['serve'], { NODE_ENV: 'production' }, 'refused while NODE_ENV=production'],
  ])('%j is refused in a sentence', async (parameters, environment, sentence) => {
    const { code, err } = await run(parameters, environment)
    expect(err).toContain(sentence)
    expect(err).not.toContain('    at ')
    expect(code).toBe(2)
  })

  test('shows the settings and where they come from', async () => {
    const { out } = await run(['config'], { HOSPITALLINK_PAGE_SIZE: '7' })
    expect(out).toMatch(/^PAGE_SIZE +7 +from HOSPITALLINK_PAGE_SIZE$/m)
    expect(out).toMatch(/^HOST +127\.0\.0\.1$/m)
  })

  test('serves, loads, copies, stops when told to, and keeps what it was given', async () => {
    const serving = started(['serve', '--hints'])
    const end = ended(serving)
    const base = await baseOf(serving)
    const file = join(folder, 'patients.ndjson')
    writeFileSync(file, '{"resourceType":"Patient","id":"p1"}\n{"resourceType":"Patient","id":"p2"}\n')
    const broken = join(folder, 'broken.json')
    writeFileSync(broken, '{"resourceType":"Patient","birthDate":7}')

    const loading = await run(['load', file, broken, '--to', base])
    expect(loading.out).toMatch(/^ +2 {2}Patient$/m)
    expect(loading.out).toMatch(/^ +2 {2}resources of 2 files in/m)
    expect(loading.err).toContain(`refused: ${broken}: 4`)
    expect(loading.code).toBe(1)

    expect((await run(['tenant', 'add', 'north', '--title', 'The north'])).out).toBe(
      `The FHIR base of north is ${base.replace('/fhir', '/t/north/fhir')}\n`,
    )
    expect((await fetch(`${base.replace('/fhir', '/t/north/fhir')}/metadata`)).status).toBe(200)

    const second = await run(['check'])
    expect([second.code, second.err]).toEqual([2, expect.stringContaining('in use by another process')])
    expect(await run(['backup', join(folder, 'copy.db')])).toMatchObject({ code: 0 })

    serving.kill('SIGTERM')
    const { code, out } = await end
    expect(code).toBe(0)
    expect(out).toContain(`curl ${base}/metadata`)
    expect(await run(['check'])).toMatchObject({ code: 0, out: '2 resources, all in order.\n' })
    expect((await run(['tenant', 'list', '--json'])).out).toContain('"name":"north","title":"The north"')
    expect(await run(['tenant', 'add', 'north'])).toMatchObject({
      code: 2,
      err: 'There is a tenant "north" already.\n',
    })
    expect((await run(['check'], { STORE: `sqlite:${join(folder, 'copy.db')}` })).out).toContain('2 resources')
    expect(await run(['reindex'])).toMatchObject({ code: 0, out: '2 resources indexed anew.\n' })
  }, 60_000)

  test('with AUTH=on it starts with a link for the first administrator, and tokens are made while it runs', async () => {
    const environment = { AUTH: 'on', STORE: `sqlite:${join(folder, 'on.db')}` }
    const serving = started(['serve', '--hints'], environment)
    const end = ended(serving)
    const base = await baseOf(serving)
    const link = /http\S*invitation\?token=\S+/
    const caller = '{"user":"Practitioner/bob","role":"doctor"}'
    const { out: token } = await run(['token', '--caller', caller], environment)
    expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const file = join(folder, 'callers.ndjson')
    writeFileSync(file, `${caller}\n\n${caller}\n`)
    expect((await run(['token', '--callers', file], environment)).out.trim().split('\n')).toHaveLength(2)
    const refused = await run(['token', '--caller', caller], {
      ...environment,
      NODE_ENV: 'production',
      BASE_URL: 'https://h.example/fhir',
      MAIL: 'none',
      SMS: 'none',
      MASTER_KEY: '00'.repeat(32),
    })
    expect(refused).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('refused while NODE_ENV=production'),
    })

    expect((await fetch(`${base}/Organization`)).status).toBe(401)
    const answer = await fetch(`${base}/Organization`, { headers: { Authorization: `Bearer ${token.trim()}` } })
    expect(answer.status).toBe(200)
    const added = await run(
      ['user', 'add', 'Bob', '--role', 'doctor', '--user', 'Practitioner/bob', '--user-name', 'bob'],
      environment,
    )
    expect(added.code).toBe(0)
    expect((await run(['user', 'list', '--json'], environment)).out).toContain(
      '"user":{"type":"Practitioner","id":"bob"}',
    )
    expect(await run(['user', 'add', 'B', '--role', 'doctor', '--user', 'bob'], environment)).toMatchObject({ code: 2 })
    serving.kill('SIGTERM')
    const { out } = await end
    expect(out).toMatch(link)
    expect(out).toContain('npx hospitallink fixtures')
    expect((await run(['user', 'list'], environment)).out).toContain('Practitioner/bob')
    expect((await run(['user', 'first'], environment)).out).toMatch(link)
    const administrator = ['--role', 'tenant-administrator', '--user', 'Practitioner/eve']
    expect((await run(['user', 'add', 'Eve', ...administrator], environment)).code).toBe(0)
    expect((await run(['user', 'first'], environment)).err).toContain('There is an administrator already')
  }, 90_000)

  test('says that a port is taken', async () => {
    const serving = started(['serve'], { STORE: `sqlite:${join(folder, 'b.db')}` })
    const end = ended(serving)
    const { port } = new URL(await baseOf(serving))
    const { code, err } = await run(['serve'], { PORT: port, STORE: `sqlite:${join(folder, 'c.db')}` })
    expect([code, err]).toEqual([
      2,
      `Port ${port} is in use: is the server running already? Take another with PORT=8081.\n`,
    ])
    serving.kill('SIGTERM')
    await end
  })
})
