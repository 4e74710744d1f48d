/**
 * The least a MongoDB must allow the server: readWrite on one database; and the ways there: TLS, and addresses by SRV.
 *
 * https://www.mongodb.com/docs/manual/reference/built-in-roles/#mongodb-authrole-readWrite
 *
 * On the stand-in, which refuses what the role does not have; its list is that of the manual.
 */
import { execFileSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import dns from 'node:dns'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { openMongo } from './store/index.js'
import { databaseOf, startStandIn } from './store/mongo/testing.js'
import { startTestServer } from './testing.js'

type StandIn = Awaited<ReturnType<typeof startStandIn>>

describe('a user with readWrite on one database', () => {
  let standIn: StandIn
  beforeAll(async () => {
    standIn = await startStandIn({ pose: { user: { role: 'readWrite', db: 'mine' } } })
  })
  afterAll(() => standIn.close())

  const observation = {
    resourceType: 'Observation',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '25836-8' }] },
    effectiveDateTime: '2024-05-01',
    subject: { reference: 'Patient/1' },
  }
  const parameter = {
    resourceType: 'SearchParameter',
    id: 'nickname',
    url: 'https://hospital.example/nickname',
    name: 'nickname',
    status: 'active',
    description: 'What people call somebody',
    code: 'nickname',
    base: ['Patient'],
    type: 'string',
    expression: "Patient.name.where(use = 'nickname').given",
  }

  test('is enough for everything the server does', async () => {
    const url = databaseOf(standIn.url, 'mine')
    const server = await startTestServer({ AUTH: 'off', AUDIT: 'on', STORE: url })
    const send = async (method: string, path: string, body?: unknown, more: Record<string, string> = {}) => {
      const response = await fetch(`${server.fhir}${path}`, {
        method,
        headers: { 'content-type': 'application/fhir+json', ...more },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      expect([method, path, response.status, response.status < 300 ? '' : text]).toEqual([
        method,
        path,
        response.status,
        '',
      ])
    }
    await send('PUT', '/Patient/1', { resourceType: 'Patient', id: '1', name: [{ family: 'Okello' }] })
    await send('POST', '/Observation', observation)
    await send('POST', '/Observation', observation, { 'if-none-exist': 'code=25836-8' })
    await send('PUT', '/Patient/1', { resourceType: 'Patient', id: '1', name: [{ family: 'Achieng' }] })
    await send('PUT', '/Patient/2', { resourceType: 'Patient', id: '2' })
    await send('DELETE', '/Patient/2')
    await send('DELETE', '/Patient?identifier=none')
    await send('PUT', '/SearchParameter/nickname', parameter)
    for (const search of [
      '?patient=1&_include=*&_sort=-date&_total=accurate',
      '?patient.family=achieng&date=ge2024',
      '?value-quantity=gt5',
      '?code:text=x',
      '/_history',
    ])
      await send('GET', `/Observation${search}`)
    for (const path of [
      '/Patient?_has:Observation:patient:code=25836-8',
      '/Patient/1/$everything',
      '/_history',
      '/AuditEvent',
    ])
      await send('GET', path)
    await send('POST', '', {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: Array.from({ length: 20 }, () => ({
        resource: observation,
        request: { method: 'POST', url: 'Observation' },
      })),
    })
    // Large enough for a place of its own.
    const binary = {
      resourceType: 'Binary',
      contentType: 'text/plain',
      data: Buffer.alloc(3_000_000, 'x').toString('base64'),
    }
    await send('POST', '/Binary', binary)
    expect((await fetch(`${server.origin}/health`)).status).toBe(200)
    const database = await openMongo(url)
    const store = database.tenant('default')
    await store.changes(0, 1000)
    await store.maintenance.reindex('Observation', 0, 100, () => [])
    await store.maintenance.check(() => [])
    await store.secrets.put('a', 'b', Date.now() + 1000)
    await store.secrets.take('a')
    // A process that died: what it left is ended by another.
    const client = new MongoClient(url)
    const session = client.startSession()
    const dead = {
      _id: 'dead',
      t: 'default',
      lane: 63,
      holder: 'dead',
      until: new Date(1),
      sessions: [session.id!.id],
      n: 0,
    }
    await client.db('mine').collection<{ _id: string }>('commits').insertOne(dead)
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    await session.endSession()
    await client.close()
    await database.close()
    await server.close().catch(() => undefined)
    expect(standIn.server.forbidden.filter((name) => name !== 'dropDatabase')).toEqual([])
    // What the role is asked for, in full: whoever adds to it looks up the manual.
    const needsRights = [
      'aggregate',
      'create',
      'createIndexes',
      'delete',
      'distinct',
      'find',
      'findAndModify',
      'insert',
    ]
    const needsNone = [
      'abortTransaction',
      'buildInfo',
      'commitTransaction',
      'endSessions',
      'getMore',
      'hello',
      'ismaster',
    ]
    const more = [
      'isMaster',
      'killCursors',
      'killSessions',
      'listCollections',
      'listIndexes',
      'ping',
      'update',
      'count',
    ]
    const known = new Set([...needsRights, ...needsNone, ...more, 'dropDatabase'])
    expect([...standIn.server.counts.keys()].filter((name) => !known.has(name))).toEqual([])
    expect(standIn.server.counts.get('killSessions')).toBeGreaterThan(0)
  }, 60_000)
})

describe('TLS', () => {
  let folder: string
  const file = (name: string) => join(folder, name)
  const openssl = (...given: string[]) => execFileSync('openssl', given, { stdio: ['ignore', 'ignore', 'pipe'] })

  /** A key and a certificate for names, of an authority of our own. */
  function certificate(name: string, alternatives: string): { key: string; cert: string } {
    writeFileSync(file(`${name}.ext`), `subjectAltName=${alternatives}\n`)
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      file(`${name}.key`),
      '-out',
      file(`${name}.csr`),
      '-subj',
      `/CN=${name}`,
    )
    openssl(
      'x509',
      '-req',
      '-in',
      file(`${name}.csr`),
      '-CA',
      file('ca.pem'),
      '-CAkey',
      file('ca.key'),
      '-CAcreateserial',
      '-days',
      '1',
      '-extfile',
      file(`${name}.ext`),
      '-out',
      file(`${name}.pem`),
    )
    return { key: readFileSync(file(`${name}.key`), 'utf8'), cert: readFileSync(file(`${name}.pem`), 'utf8') }
  }

  let standIn: StandIn
  let elsewhere: StandIn
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'))
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      file('ca.key'),
      '-out',
      file('ca.pem'),
      '-days',
      '1',
      '-subj',
      '/CN=authority',
    )
    standIn = await startStandIn({ tls: certificate('db', 'IP:127.0.0.1,DNS:a.hospital.example') })
    elsewhere = await startStandIn({ tls: certificate('other', 'DNS:other.example') })
  })
  afterAll(async () => {
    await standIn.close()
    await elsewhere.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const urlOf = ({ port }: StandIn, query: string) => `mongodb://127.0.0.1:${port}/secure?replicaSet=rs0${query}`
  const opening = (url: string) => openMongo(url, { timeLimitMs: 1_500 })

  test('with the authority named, the store opens and writes', async () => {
    const database = await opening(urlOf(standIn, `&tls=true&tlsCAFile=${file('ca.pem')}`))
    await database.secrets.put('a', 'b')
    expect(await database.secrets.get('a')).toBe('b')
    await database.close()
  })

  test.each([
    [
      'an authority nobody trusts',
      () => urlOf(standIn, '&tls=true'),
      /certificate of the database is not trusted; name its authority/,
    ],
    [
      'a certificate for another host',
      () => urlOf(elsewhere, `&tls=true&tlsCAFile=${file('ca.pem')}`),
      /certificate of the database is for another host/,
    ],
    ['no TLS where it is asked for', () => urlOf(standIn, ''), /MongoDB cannot be used/],
  ])('%s is refused with a sentence', async (_, url, sentence) => {
    await expect(opening(url())).rejects.toThrow(sentence)
  })

  test('TLS towards a database that has none', async () => {
    const bare = await startStandIn()
    await expect(opening(urlOf(bare, '&tls=true'))).rejects.toThrow(/MongoDB cannot be used/)
    await bare.close()
  })

  describe('by an SRV address', () => {
    let names: Socket
    const before = { servers: dns.getServers(), lookup: dns.lookup }
    beforeAll(async () => {
      names = nameServer(standIn.port)
      await new Promise<void>((resolve) => names.bind(0, '127.0.0.1', resolve))
      dns.promises.setServers([`127.0.0.1:${(names.address() as AddressInfo).port}`])
      // The system's own resolver knows no host of ours.
      dns.lookup = ((host: string, options: object, done: (...given: unknown[]) => void) =>
        host.endsWith('.hospital.example')
          ? done(null, 'all' in options && options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4)
          : before.lookup(host, options as dns.LookupOptions, done)) as typeof dns.lookup
    })
    afterAll(async () => {
      dns.lookup = before.lookup
      dns.promises.setServers(before.servers)
      await new Promise<void>((resolve) => names.close(resolve))
    })

    test('the hosts and the name of the set are looked up, and TLS is a matter of course', async () => {
      const database = await opening(`mongodb+srv://db.hospital.example/secure?tlsCAFile=${file('ca.pem')}`)
      await database.secrets.put('srv', 'yes')
      expect(await database.secrets.get('srv')).toBe('yes')
      await database.close()
    })

    test('a name nobody knows is said to be so', async () => {
      await expect(opening('mongodb+srv://none.hospital.example/secure')).rejects.toThrow(
        /not known to the name service/,
      )
    })
  })
})

/** Answers SRV and TXT for db.hospital.example, and that there is nothing for any other name (RFC 1035, RFC 2782). */
function nameServer(port: number): Socket {
  const socket = createSocket('udp4')
  socket.on('message', (query, { address, port: from }) => {
    const labels: string[] = []
    let at = 12
    for (; query[at]; at += query[at]! + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    const type = query.readUInt16BE(at + 1)
    const question = query.subarray(12, at + 5)
    const data = labels.join('.').endsWith('db.hospital.example') ? record(type, port) : undefined
    const head = Buffer.from(query.subarray(0, 12))
    head.writeUInt16BE(data ? 0x8180 : 0x8183, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(data ? 1 : 0, 6)
    head.fill(0, 8)
    const answer = Buffer.alloc(12)
    answer.writeUInt16BE(0xc00c, 0)
    answer.writeUInt16BE(type, 2)
    answer.writeUInt16BE(1, 4)
    answer.writeUInt32BE(60, 6)
    answer.writeUInt16BE(data?.length ?? 0, 10)
    socket.send(Buffer.concat([head, question, ...(data ? [answer, data] : [])]), from, address)
  })
  return socket
}

const named = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((each) => Buffer.from(`${String.fromCharCode(each.length)}${each}`)),
    Buffer.of(0),
  ])

function record(type: number, port: number): Buffer | undefined {
  if (type === 16) return Buffer.from(`${String.fromCharCode('replicaSet=rs0'.length)}replicaSet=rs0`)
  if (type !== 33) return undefined
  const weights = Buffer.alloc(6)
  weights.writeUInt16BE(port, 4)
  return Buffer.concat([weights, named('a.hospital.example')])
}
