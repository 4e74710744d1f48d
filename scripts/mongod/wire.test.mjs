/**
 * The wire protocol byte by byte: pieces, document sequences, checksums, silent messages, nonsense.
 *
 * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 */
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { deserialize, serialize } from 'bson'
import { startMongod } from './server.mjs'
import { crc32c, splitter } from './wire.mjs'

let mongod

beforeAll(async () => {
  mongod = await startMongod()
})

afterAll(() => mongod.close())

/** An OP_MSG with a body and perhaps documents beside it. */
function message(body, { flags = 0, sequence } = {}) {
  const sections = [Buffer.from([0]), Buffer.from(serialize(body))]
  if (sequence) {
    const name = Buffer.from(`${sequence.name}\0`)
    const documents = Buffer.concat(sequence.documents.map((document) => Buffer.from(serialize(document))))
    const size = Buffer.alloc(4)
    size.writeInt32LE(4 + name.length + documents.length)
    sections.push(Buffer.from([1]), size, name, documents)
  }
  const content = Buffer.concat(sections)
  const header = Buffer.alloc(20)
  header.writeInt32LE(20 + content.length + (flags & 1 ? 4 : 0), 0)
  header.writeInt32LE(7, 4)
  header.writeInt32LE(2013, 12)
  header.writeUInt32LE(flags, 16)
  const whole = Buffer.concat([header, content])
  if (!(flags & 1)) return whole
  const sum = Buffer.alloc(4)
  sum.writeUInt32LE(crc32c(whole))
  return Buffer.concat([whole, sum])
}

/** Sends pieces and gives the replies' documents until so many came, or the connection ended. */
function talk(pieces, replies) {
  return new Promise((resolve, reject) => {
    const socket = connect(mongod.port, '127.0.0.1')
    const found = []
    const feed = splitter((reply) => {
      found.push(deserialize(reply.subarray(21)))
      if (found.length === replies) socket.end()
    })
    socket.on('data', feed)
    socket.on('close', () => resolve(found))
    socket.on('error', reject)
    socket.on('connect', async () => {
      for (const piece of pieces) {
        socket.write(piece)
        await new Promise((next) => setImmediate(next))
      }
    })
  })
}

const ping = { ping: 1, $db: 'admin' }

test('the checksum is that of the standard', () => expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283))

test('a message may come in any pieces, and several in one', async () => {
  const one = message(ping)
  const bytes = Array.from(one, (byte) => Buffer.from([byte]))
  expect(await talk(bytes, 1)).toMatchObject([{ ok: 1 }])
  expect(await talk([Buffer.concat([one, one, one])], 3)).toMatchObject([{ ok: 1 }, { ok: 1 }, { ok: 1 }])
  expect(await talk([Buffer.concat([one, one.subarray(0, 9)]), one.subarray(9)], 2)).toMatchObject([
    { ok: 1 },
    { ok: 1 },
  ])
})

test('documents may come beside the body', async () => {
  const insert = { insert: 'sequence', $db: 'wire' }
  const sequence = { name: 'documents', documents: [{ _id: 1 }, { _id: 2 }] }
  expect(await talk([message(insert, { sequence })], 1)).toMatchObject([{ n: 2, ok: 1 }])
})

test('a checksum is looked at', async () => {
  const right = message(ping, { flags: 1 })
  expect(await talk([right], 1)).toMatchObject([{ ok: 1 }])
  const wrong = Buffer.from(right)
  wrong[wrong.length - 1] ^= 1
  expect(await talk([wrong], 1)).toEqual([])
})

test('a message that wants no reply gets none, and is done', async () => {
  const insert = message({ insert: 'silent', documents: [{ _id: 1 }], $db: 'wire' }, { flags: 2 })
  const count = message({ count: 'silent', $db: 'wire' })
  expect(await talk([insert, count], 1)).toMatchObject([{ n: 1, ok: 1 }])
})

test.each([
  ['a length of nothing', Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
  ['a length beyond all bounds', Buffer.from([255, 255, 255, 127])],
  ['an unknown opcode', Buffer.from([16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0])],
  ['an unknown flag', message(ping, { flags: 4 })],
  ['a body that is no BSON', message(ping).fill(0x77, 25, 26)],
  ['a body cut short', Buffer.concat([Buffer.from([25, 0, 0, 0]), message(ping).subarray(4, 25)])],
])('%s ends the connection and nothing else', async (_what, bytes) => {
  expect(await talk([bytes], 1)).toEqual([])
  expect(await talk([message(ping)], 1)).toMatchObject([{ ok: 1 }])
})
