/**
 * The wire protocol: messages out of a stream of bytes, and replies.
 *
 * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 */
import { documentOf, encodeAfter } from './bson.mjs'

export const MESSAGE_BYTES_MAX = 48_000_000

const OP_REPLY = 1
const OP_QUERY = 2004
const OP_MSG = 2013

const CHECKSUM = 1
const MORE_TO_COME = 2
const REQUIRED_BITS = 0xffff

export class ProtocolError extends Error {}

/**
 * Splits what arrives into messages.
 * @param {(message: Buffer) => void} onMessage
 */
export function splitter(onMessage) {
  let pieces = []
  let held = 0
  return (chunk) => {
    pieces.push(chunk)
    held += chunk.length
    if (held < 4) return
    for (;;) {
      if (pieces[0].length < 4 && pieces.length > 1) pieces = [Buffer.concat(pieces)]
      if (held < 4) return
      const length = pieces[0].readInt32LE(0)
      if (length < 16 || length > MESSAGE_BYTES_MAX) throw new ProtocolError(`a message of ${length} bytes`)
      if (held < length) return
      const whole = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
      held -= length
      pieces = held > 0 ? [whole.subarray(length)] : []
      onMessage(whole.subarray(0, length))
      if (held === 0) return
    }
  }
}

/**
 * @typedef {object} Request
 * @property {number} id
 * @property {import('./bson.mjs').Document} body
 * @property {Map<string, import('./bson.mjs').Document[]>} sequences documents that came beside the body, by field
 * @property {boolean} silent no reply is expected
 * @property {boolean} legacy it came as OP_QUERY
 * @property {string} [database] of a legacy query
 */

/**
 * @param {Buffer} message
 * @returns {Request}
 */
export function parseMessage(message) {
  const id = message.readInt32LE(4)
  switch (message.readInt32LE(12)) {
    case OP_MSG:
      return parseMsg(message, id)
    case OP_QUERY:
      return parseQuery(message, id)
    default:
      throw new ProtocolError(`opcode ${message.readInt32LE(12)}`)
  }
}

function parseMsg(message, id) {
  const flags = message.readUInt32LE(16)
  if (flags & REQUIRED_BITS & ~(CHECKSUM | MORE_TO_COME)) throw new ProtocolError(`flags ${flags}`)
  let end = message.length
  if (flags & CHECKSUM) {
    end -= 4
    if (crc32c(message.subarray(0, end)) !== message.readUInt32LE(end)) throw new ProtocolError('a wrong checksum')
  }
  let body
  const sequences = new Map()
  let at = 20
  while (at < end) {
    const kind = message[at++]
    const size = message.readInt32LE(at)
    if (size < 5 || at + size > end) throw new ProtocolError('a section of a wrong size')
    if (kind === 0) {
      if (body) throw new ProtocolError('two bodies')
      body = documentOf(message.subarray(at, at + size))
    } else if (kind === 1) {
      const nameEnd = message.indexOf(0, at + 4)
      const documents = []
      let inner = nameEnd + 1
      while (inner < at + size) {
        const length = message.readInt32LE(inner)
        if (length < 5 || inner + length > at + size) throw new ProtocolError('a document of a wrong size')
        // A document outlives its message; a copy keeps the message's memory from living on with it.
        documents.push(documentOf(Buffer.from(message.subarray(inner, inner + length))))
        inner += length
      }
      sequences.set(message.toString('utf8', at + 4, nameEnd), documents)
    } else throw new ProtocolError(`a section of kind ${kind}`)
    at += size
  }
  if (!body) throw new ProtocolError('no body')
  return {
    id,
    body,
    sequences,
    silent: (flags & MORE_TO_COME) !== 0,
    legacy: false,
  }
}

/** Only the first hello of a driver comes this way. */
function parseQuery(message, id) {
  const nameEnd = message.indexOf(0, 20)
  const namespace = message.toString('utf8', 20, nameEnd)
  const at = nameEnd + 9
  const size = message.readInt32LE(at)
  const body = documentOf(message.subarray(at, at + size))
  return { id, body, sequences: new Map(), silent: false, legacy: true, database: namespace.split('.')[0] }
}

let nextId = 1

/**
 * @param {Request} request
 * @param {Record<string, unknown>} reply
 * @returns {Buffer}
 */
export function replyTo(request, reply) {
  const room = request.legacy ? 36 : 21
  const message = encodeAfter(room, reply)
  message.fill(0, 0, room)
  message.writeInt32LE(message.length, 0)
  message.writeInt32LE(nextId++ & 0x7fffffff, 4)
  message.writeInt32LE(request.id, 8)
  message.writeInt32LE(request.legacy ? OP_REPLY : OP_MSG, 12)
  // AwaitCapable, as every server since 2.2 says; then no cursor, from 0, one document.
  if (request.legacy) {
    message.writeInt32LE(8, 16)
    message.writeInt32LE(1, 32)
  }
  return message
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/** CRC-32C (Castagnoli). */
export function crc32c(bytes) {
  let crc = 0xffffffff
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
