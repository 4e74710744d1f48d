/**
 * URLs that are not what they should be.
 *
 * https://hl7.org/fhir/R4/search.html#errors
 */
import { request } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { baseUrl, bundle, created, expectOutcome, get, idsIn, send, unique } from '../server.js'

/** As it stands, without what fetch would mend. */
function raw(
  path: string,
  method = 'GET',
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const { hostname, port, pathname } = new URL(baseUrl())
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path: `${pathname}/${path}`, headers }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('end', () => resolve({ status: response.statusCode!, text: Buffer.concat(pieces).toString() }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('encoding', () => {
  test.each([
    'Patient?name=%zz',
    'Patient?name=%',
    'Patient?name=%ff%fe',
    'Patient?%zz=1',
    'Patient/%zz',
    '%E0%A4%A',
    'Patient?name=%ed%a0%80',
  ])('%s is 400 or 404', async (path) => {
    const { status, text } = await raw(path)
    expect([400, 404]).toContain(status)
    expect(text).toContain('OperationOutcome')
  })

  test.each([
    'Patient?name=a%00b',
    'Patient?name=%F0%9F%98%80',
    'Patient?name=%27%20OR%201%3D1--',
    'Patient?identifier=%7B%22%24ne%22%3Anull%7D',
    'Patient?name=%25%27%22%5C',
    'Patient?name:exact=%24where%28%29',
    'Patient?_id=..%2F..%2Fetc',
  ])('%s finds nothing and harms nothing', async (path) => {
    const { status, text } = await raw(path)
    expect([200, 400]).toContain(status)
    if (status === 200) expect(JSON.parse(text).entry ?? []).toEqual([])
  })

  test.each(['../../etc/passwd', 'Patient/../../secrets', 'Patient//', '//Patient', 'Patient/..%2f..%2fetc'])(
    '%s leads nowhere',
    async (path) => {
      const { status } = await raw(path)
      expect(status).toBeGreaterThanOrEqual(200)
      expect(status).toBeLessThan(500)
      expect((await raw(path)).text).not.toContain('root:')
    },
  )

  test('a parameter written as a list or an object is an unknown parameter', async () => {
    for (const query of [
      'name[]=x',
      'name[$ne]=x',
      'name[0]=x',
      '__proto__=x',
      'constructor=x',
      'toString=x',
      'hasOwnProperty=1',
    ])
      expectOutcome(await get(`Patient?${query}`), 400)
  })

  test('a parameter without a value is refused or ignored, and does not match everything by chance', async () => {
    for (const query of ['name', 'name=', 'identifier=', 'birthdate=', 'name=,', '=x'])
      expect([query, (await get(`Patient?${query}&_count=1`)).status < 500]).toEqual([query, true])
  })
})

describe('limits', () => {
  test('a URL that is very long', async () => {
    const { status } = await raw(`Patient?name=${'x'.repeat(30_000)}`)
    expect([400, 413, 414, 431]).toContain(status)
  })

  test('10,000 values of one parameter', async () => {
    const body = `_id=${Array.from({ length: 10_000 }, (_, index) => `x${index}`).join(',')}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const start = performance.now()
    const answer = await send('POST', 'Patient/_search', { body, headers })
    expect([200, 400]).toContain(answer.status)
    expect(performance.now() - start).toBeLessThan(5000)
  })

  test('10,000 parameters', async () => {
    const body = Array.from({ length: 10_000 }, (_, index) => `name=x${index}`).join('&')
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expectOutcome(await send('POST', 'Patient/_search', { body, headers }), [400, 413])
  })

  test('a chain without end', async () => {
    const chain = `${'partof.'.repeat(200)}name=x`
    expectOutcome(await get(`Organization?${chain}`), 400)
    const has = `${'_has:Organization:partof:'.repeat(100)}name=x`
    expectOutcome(await get(`Organization?${has}`), 400)
  })

  test('includes without end', async () => {
    const includes = Array.from({ length: 200 }, () => '_include:iterate=Organization:partof').join('&')
    expect([200, 400]).toContain((await get(`Organization?name=${unique()}&${includes}`)).status)
  })

  test.each([
    `_filter=${'('.repeat(5000)}name eq x${')'.repeat(5000)}`,
    `_filter=${'not '.repeat(2000)}(name eq x)`,
    `name:contains=${'a'.repeat(2000)}`,
    `name=${'(a+)+$'.repeat(50)}`,
    `name:contains=${'%25'.repeat(500)}`,
    `_content=${'a* '.repeat(500)}`,
    `name=${'\\'.repeat(999)}`,
    `identifier=${'|'.repeat(500)}`,
    `birthdate=${'2000-01-01,'.repeat(1000)}2000-01-01`,
  ])('what could take long does not: %.60s', async (query) => {
    await created({ resourceType: 'Patient', name: [{ family: 'a'.repeat(500) }] })
    const start = performance.now()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const body = query.replace(
      /^(.*?)=(.*)$/s,
      (_all, name: string, value: string) => `${name}=${encodeURIComponent(value)}`,
    )
    const answer = await send('POST', 'Patient/_search', { body, headers })
    expect(answer.status).toBeLessThan(500)
    expect(performance.now() - start).toBeLessThan(3000)
  })
})

describe('headers', () => {
  test.each([
    ['if-none-match', ','],
    ['if-match', '"'],
    ['if-modified-since', 'yesterday'],
    ['prefer', 'return=everything; handling=none'],
    ['accept', ';;;,,,q=9'],
    ['accept', `application/json;q=${'0'.repeat(3000)}`],
    ['if-none-exist', '%zz'],
    ['content-encoding', 'rot13'],
    ['content-type', 'application/fhir+json; charset=utf-7'],
    ['accept-encoding', 'br;q=x, gzip;q=-1'],
    ['idempotency-key', 'x'.repeat(5000)],
  ])('%s: %.40s is answered', async (name, value) => {
    const answer = await send('POST', 'Patient', { body: { resourceType: 'Patient' }, headers: { [name]: value } })
    expect(answer.status).toBeLessThan(500)
    const { id } = await created({ resourceType: 'Patient' })
    expect((await get(`Patient/${id}`, { [name]: value })).status).toBeLessThan(500)
  })
})

test('a method that HTTP does not have or FHIR does not use', async () => {
  for (const method of ['OPTIONS', 'TRACE', 'PROPFIND', 'LOCK']) {
    const { status } = await raw('Patient', method)
    expect([method, status < 500]).toEqual([method, true])
  }
})

test('values with wildcards of databases are values', async () => {
  const family = unique('wild')
  await created({ resourceType: 'Patient', name: [{ family }] })
  for (const value of ['%25', '_', '*', '.*', '?', `${family.slice(0, 6)}%25`, `${family.slice(0, 6)}_`])
    expect([value, idsIn(await bundle(`Patient?family:exact=${value}`))]).toEqual([value, []])
})
