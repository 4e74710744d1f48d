/**
 * Binary: content as it is, or as a resource.
 *
 * https://hl7.org/fhir/R4/binary.html#rest
 */
import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import type { Binary } from 'fhir/r4.js'
import { get, post, put, resourceIn, send } from '../server.js'

const picture = randomBytes(70_000)

async function stored(content = picture, type = 'image/png'): Promise<string> {
  const answer = await send('POST', 'Binary', { body: content, headers: { 'content-type': type } })
  expect(answer.status).toBe(201)
  return answer.headers.get('location')!.split('/').at(-3)!
}

test('any content comes in with its content type and goes out the same', async () => {
  const answer = await get(`Binary/${await stored()}`, { accept: '*/*' })
  expect(answer.headers.get('content-type')).toBe('image/png')
  expect(answer.bytes.equals(picture)).toBe(true)
})

test('a client that asks for FHIR receives a resource', async () => {
  const answer = await get(`Binary/${await stored()}`, { accept: 'application/fhir+json' })
  expect(resourceIn<Binary>(answer)).toMatchObject({ resourceType: 'Binary', contentType: 'image/png' })
  expect(Buffer.from(resourceIn<Binary>(answer).data!, 'base64').equals(picture)).toBe(true)
})

test('a resource comes in as a resource and goes out as content', async () => {
  const sent: Binary = {
    resourceType: 'Binary',
    contentType: 'text/csv',
    data: Buffer.from('a,b\n1,2\n').toString('base64'),
  }
  const { id } = resourceIn<Binary>(await post('Binary', sent))
  const answer = await get(`Binary/${id}`, { accept: 'text/csv' })
  expect(answer.headers.get('content-type')).toContain('text/csv')
  expect(answer.text).toBe('a,b\n1,2\n')
})

test('an update replaces the content; versions keep theirs', async () => {
  const id = await stored(Buffer.from('one'), 'text/plain')
  const answer = await send('PUT', `Binary/${id}`, {
    body: Buffer.from('two'),
    headers: { 'content-type': 'text/plain' },
  })
  expect(answer.status).toBe(200)
  expect((await get(`Binary/${id}`, { accept: 'text/plain' })).text).toBe('two')
  expect((await get(`Binary/${id}/_history/1`, { accept: 'text/plain' })).text).toBe('one')
})

test('an empty content is content', async () => {
  const sent: Binary = { resourceType: 'Binary', contentType: 'text/plain' }
  const { id } = resourceIn<Binary>(await post('Binary', sent))
  const answer = await get(`Binary/${id}`, { accept: 'text/plain' })
  expect([200, 204]).toContain(answer.status)
  expect(answer.text).toBe('')
})

test('a page somebody stored does not run as ours', async () => {
  const id = await stored(Buffer.from('<script>alert(1)</script>'), 'text/html')
  const answer = await get(`Binary/${id}`, { accept: 'text/html' })
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  expect(answer.headers.get('content-security-policy')).toMatch(/sandbox|default-src 'none'/)
})

test('what cannot be a Binary is refused', async () => {
  expect((await post('Binary', { resourceType: 'Binary', data: 'AAAA' })).status).toBeGreaterThanOrEqual(400)
  expect((await put('Binary/x', { resourceType: 'Binary', id: 'y', contentType: 'a/b' })).status).toBe(400)
})
