import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Lookup, type OutboundOptions, outboundHttp } from './outbound.js'
import { allowedOf, isPublicAddress } from './public-address.js'
import { certificate, startTlsServer, type TlsServer } from './testing.js'

describe('an address', () => {
  test.each([
    ['93.184.216.34', true],
    ['2606:2800:220:1:248:1893:25c8:1946', true],
    ['0.0.0.0', false],
    ['10.1.2.3', false],
    ['100.64.0.1', false],
    ['127.0.0.1', false],
    ['127.255.255.254', false],
    ['169.254.169.254', false],
    ['172.16.0.1', false],
    ['172.31.255.255', false],
    ['172.32.0.1', true],
    ['192.0.0.8', false],
    ['192.168.1.1', false],
    ['198.18.0.1', false],
    ['224.0.0.251', false],
    ['255.255.255.255', false],
    ['::', false],
    ['::1', false],
    ['::ffff:127.0.0.1', false],
    ['::ffff:93.184.216.34', false],
    ['::7f00:1', false],
    ['64:ff9b::7f00:1', false],
    ['2001::1', false],
    ['2001:db8::1', false],
    ['2002:7f00:1::', false],
    ['fc00::1', false],
    ['fd12:3456::1', false],
    ['fe80::1', false],
    ['fe80::1%eth0', false],
    ['ff02::1', false],
    ['localhost', false],
    ['', false],
  ])('%s is public: %s', (address, expected) => expect(isPublicAddress(address)).toBe(expected))
})

describe('the list of what is allowed', () => {
  test.each([
    ['http://peer.example'],
    ['http://localhost/path'],
    ['10.0.0.0/33'],
    ['a b'],
    ['https://x.example'],
    ['-'],
  ])('%s is refused', (entry) => expect(() => allowedOf([entry])).toThrow(RangeError))
})

describe('a call', () => {
  let tls: TlsServer
  let plain: Server
  let plainPort: number
  const asked: string[] = []
  beforeAll(async () => {
    tls = await startTlsServer((request, response) => {
      asked.push(
        `${request.method} ${request.url} ${request.headers.host} ${request.headers.authorization ?? ''}`.trim(),
      )
      if (request.url === '/redirect') response.writeHead(302, { Location: '/json' }).end()
      else if (request.url === '/large') response.end('x'.repeat(2000))
      else if (request.url === '/endless') setInterval(() => response.write('x'), 20).unref()
      else if (request.url === '/silent') response.write('x')
      else if (request.url === '/gzip') response.writeHead(200, { 'Content-Encoding': 'gzip' }).end('x')
      else if (request.url === '/echo') request.pipe(response)
      else response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"keys":[]}')
    })
    plain = createServer((_request, response) => response.end('"plain"'))
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    plainPort = (plain.address() as AddressInfo).port
  })
  afterAll(async () => {
    await tls.close()
    plain.closeAllConnections()
    await new Promise((resolve) => plain.close(resolve))
  })

  /** A resolver that gives each question the next answer. */
  const resolving = (...answers: string[][]): Lookup & { questions: number } => {
    const lookup = (...[, , callback]: Parameters<Lookup>) => {
      const addresses = answers[Math.min(lookup.questions++, answers.length - 1)]!
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )
    }
    lookup.questions = 0
    return lookup
  }
  const trusting = (options: OutboundOptions = {}) => outboundHttp({ ca: certificate, ...options })
  const loopback = { allowed: allowedOf(['127.0.0.0/8']) }
  const at = (path: string, host = 'hospital.test') => `https://${host}:${tls.port}${path}`

  test('reaches a name whose address is allowed', async () => {
    const answer = await trusting({ ...loopback, lookup: resolving(['127.0.0.1']) })({ url: at('/json') })
    expect([answer.status, answer.headers['content-type'], answer.json()]).toEqual([
      200,
      'application/json',
      { keys: [] },
    ])
  })

  test('sends a body', async () => {
    const call = trusting({ ...loopback, lookup: resolving(['127.0.0.1']) })
    expect((await call({ url: at('/echo'), method: 'POST', body: 'Grüße' })).body.toString()).toBe('Grüße')
  })

  test('may be allowed by the name of the host', async () => {
    const lookup = resolving(['127.0.0.1'])
    expect((await trusting({ allowed: allowedOf(['hospital.test']), lookup })({ url: at('/') })).status).toBe(200)
    await expect(trusting({ allowed: allowedOf(['other.test']), lookup })({ url: at('/') })).rejects.toThrow(
      'hospital.test is no public address',
    )
  })

  test.each([[['10.0.0.1']], [['169.254.169.254']], [['::1']], [['::ffff:127.0.0.1']], [['fd00::1', '192.168.0.1']]])(
    'never connects to %j',
    async (addresses) => {
      const before = asked.length
      await expect(trusting({ lookup: resolving(addresses) })({ url: at('/') })).rejects.toThrow('is no public address')
      expect(asked.length).toBe(before)
    },
  )

  test('connects to no other than the address that was judged: a name is resolved once', async () => {
    const lookup = resolving(['127.0.0.1'], ['10.0.0.1'])
    await trusting({ ...loopback, lookup })({ url: at('/') })
    expect(lookup.questions).toBe(1)
    await expect(trusting({ ...loopback, lookup })({ url: at('/') })).rejects.toThrow('is no public address')
  })

  test('of several addresses takes only those that may be reached', async () => {
    const call = trusting({ ...loopback, lookup: resolving(['10.0.0.1', '127.0.0.1']) })
    expect((await call({ url: at('/') })).status).toBe(200)
  })

  test.each([
    ['https://127.0.0.1/'],
    ['https://2130706433/'],
    ['https://0x7f.1/'],
    ['https://[::1]/'],
    ['https://[::ffff:7f00:1]/'],
    ['https://localhost/'],
    ['http://hospital.test/'],
    ['http://127.0.0.1/'],
    ['ftp://hospital.test/'],
    ['file:///etc/passwd'],
    ['//hospital.test/'],
    ['https://user:word@hospital.test/'],
    ['nonsense'],
  ])('%s is refused', async (url) => {
    await expect(trusting()({ url })).rejects.toMatchObject({ name: 'OutboundRefused' })
  })

  test('http: is for loopback alone, and only where it was allowed', async () => {
    const url = `http://127.0.0.1:${plainPort}/`
    expect((await outboundHttp({ allowed: allowedOf(['http://127.0.0.1']) })({ url })).json()).toBe('plain')
    expect((await outboundHttp({ allowed: allowedOf([`http://127.0.0.1:${plainPort}`]) })({ url })).status).toBe(200)
    const other = outboundHttp({ allowed: allowedOf(['http://127.0.0.1:1']) })
    await expect(other({ url })).rejects.toThrow('Only https:')
    const lured = outboundHttp({ allowed: allowedOf(['http://localhost']), lookup: resolving(['10.0.0.1']) })
    await expect(lured({ url: `http://localhost:${plainPort}/` })).rejects.toThrow('is no public address')
  })

  test('credentials go to their origin and nowhere else', async () => {
    const call = trusting({ ...loopback, lookup: resolving(['127.0.0.1']) })
    const credentials = { origin: `https://hospital.test:${tls.port}`, headers: { Authorization: 'Bearer sesame' } }
    await call({ url: at('/mine'), credentials })
    expect(asked.at(-1)).toBe(`GET /mine hospital.test:${tls.port} Bearer sesame`)
    // An origin that only begins alike is another one.
    await expect(call({ url: at('/', 'hospital.test.hospital.test'), credentials })).rejects.toThrow('not for')
    await expect(call({ url: at('/'), headers: { Host: 'other.test' } })).rejects.toThrow('header Host is ours')
    await expect(call({ url: at('/'), headers: { 'X-A': 'a\r\nHost: b' } })).rejects.toThrow('A header has')
  })

  test.each([
    ['/redirect', {}, 'redirect, which is not followed'],
    ['/large', { sizeMax: 1000 }, 'more than 1000 bytes'],
    ['/endless', { timeoutMs: 300 }, 'took too long|fell silent'],
    ['/endless', { sizeMax: 3 }, 'more than 3 bytes'],
    ['/silent', { timeoutMs: 200 }, 'took too long|fell silent'],
    ['/gzip', {}, 'encoding nobody asked for'],
  ])('%s %j is given up', async (path, limits, sentence) => {
    const call = trusting({ ...loopback, lookup: resolving(['127.0.0.1']) })
    await expect(call({ url: at(path), ...limits })).rejects.toThrow(new RegExp(sentence))
  })

  test('a certificate of somebody else, a closed port and broken HTTP are failures', async () => {
    const lookup = resolving(['127.0.0.1'])
    await expect(outboundHttp({ ...loopback, lookup })({ url: at('/') })).rejects.toMatchObject({
      name: 'OutboundFailed',
      message: expect.stringContaining('hospital.test cannot be reached (DEPTH_ZERO_SELF_SIGNED_CERT)'),
    })
    await expect(trusting({ ...loopback, lookup })({ url: at('/', 'other.test') })).rejects.toThrow('ALTNAME')
    await expect(trusting({ ...loopback, lookup })({ url: 'https://hospital.test:1/' })).rejects.toThrow('ECONNREFUSED')
    const odd = createTcp((socket) => socket.resume().end('nonsense\r\n\r\n'))
    await new Promise<void>((resolve) => odd.listen(0, '127.0.0.1', resolve))
    const { port } = odd.address() as AddressInfo
    const call = outboundHttp({ allowed: allowedOf(['http://127.0.0.1']) })
    await expect(call({ url: `http://127.0.0.1:${port}/` })).rejects.toMatchObject({ name: 'OutboundFailed' })
    await new Promise((resolve) => odd.close(resolve))
  })

  test('what is no JSON is said to be none', async () => {
    const answer = await trusting({ ...loopback, lookup: resolving(['127.0.0.1']) })({ url: at('/large') })
    expect(() => answer.json()).toThrow('did not answer with JSON')
  })
})
