/**
 * BSON read lazily and written exactly: a document keeps its bytes, and only the members asked for become values.
 *
 * https://bsonspec.org/spec.html
 *
 * Values are those of the `bson` package, with one convention that makes numbers keep their type: a 32-bit integer and a
 * double with a fraction are JavaScript numbers, a double without a fraction is a `Double`, a 64-bit integer a `Long`.
 */
import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson'
import { CommandError, refuse } from './errors.mjs'

const MIN_KEY = new MinKey()
const MAX_KEY = new MaxKey()

/** Whether a value is a plain sub-document, whatever its members are called. */
export const isPlain = (value) =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** One document: its bytes, and its top-level members decoded when first asked for. Nothing decoded is ever changed. */
export class Document {
  /** @type {Map<string, { type: number, at: number, end: number, value: unknown }> | undefined} */
  #members

  /** @param {Buffer} raw the whole document */
  constructor(raw) {
    this.raw = raw
  }

  /** @param {string} name */
  get(name) {
    const member = this.members().get(name)
    if (member === undefined) return undefined
    if (member.value === undefined) member.value = new Reader(this.raw, member.at).value(member.type)
    return member.value
  }

  /** Where each top-level member lies in the bytes. */
  members() {
    if (this.#members === undefined) {
      this.#members = new Map()
      const reader = new Reader(this.raw, 4)
      for (let type = reader.byte(); type !== 0; type = reader.byte()) {
        const start = reader.at - 1
        const name = reader.name()
        const at = reader.at
        reader.skip(type)
        this.#members.set(name, { type, start, at, end: reader.at, value: undefined })
      }
    }
    return this.#members
  }

  /** The elements of a top-level array of documents, each with bytes of its own. */
  documents(name) {
    const member = this.members().get(name)
    if (member === undefined) return undefined
    if (member.type !== 0x04) refuse(14, `Expected field '${name}' to be of type array`)
    const reader = new Reader(this.raw, member.at + 4)
    const documents = []
    for (let type = reader.byte(); type !== 0; type = reader.byte()) {
      reader.name()
      if (type !== 0x03) refuse(14, `Expected the elements of '${name}' to be of type object`)
      const length = this.raw.readInt32LE(reader.at)
      documents.push(documentOf(Buffer.from(this.raw.subarray(reader.at, reader.at + length))))
      reader.at += length
    }
    return documents
  }

  /** Every member, decoded anew: the caller may change what it gets. */
  toObject() {
    return new Reader(this.raw, 0).document()
  }

  /** A document with only the named top-level members, in the order they are stored. */
  only(names) {
    const pieces = []
    let length = 5
    for (const [name, { start, end }] of this.members()) {
      if (!names.has(name)) continue
      pieces.push(this.raw.subarray(start, end))
      length += end - start
    }
    const raw = Buffer.allocUnsafe(length)
    raw.writeInt32LE(length, 0)
    let at = 4
    for (const piece of pieces) at += piece.copy(raw, at)
    raw[at] = 0
    return new Document(raw)
  }
}

/** A document's member, whether it is stored or was computed. */
export const field = (container, name) =>
  container instanceof Document ? container.get(name) : Object.hasOwn(container, name) ? container[name] : undefined

/** All members as a plain object. */
export const plainOf = (document) => (document instanceof Document ? document.toObject() : document)

/** A whole double would be read back as an integer, so it is kept in its wrapper. */
export const doubleOf = (value) => (Number.isInteger(value) ? new Double(value) : value)

class Reader {
  constructor(buffer, at) {
    this.buffer = buffer
    this.at = at
  }

  byte() {
    return this.buffer[this.at++]
  }

  int() {
    const value = this.buffer.readInt32LE(this.at)
    this.at += 4
    return value
  }

  name() {
    const { buffer } = this
    const start = this.at
    let text = ''
    let at = start
    for (let byte = buffer[at]; byte !== 0; byte = buffer[++at]) {
      if (byte === undefined || byte > 127 || at - start > 20) {
        const end = buffer.indexOf(0, start)
        if (end < 0) refuse(22, 'a name in a BSON document does not end')
        this.at = end + 1
        return buffer.toString('utf8', start, end)
      }
      text += String.fromCharCode(byte)
    }
    this.at = at + 1
    return text
  }

  text() {
    const length = this.int()
    const start = this.at
    this.at += length
    if (length < 1 || this.at > this.buffer.length) refuse(22, 'a string in a BSON document has a wrong length')
    return this.buffer.toString('utf8', start, this.at - 1)
  }

  document() {
    this.int()
    const object = {}
    for (let type = this.byte(); type !== 0; type = this.byte()) {
      if (type === undefined) refuse(22, 'a BSON document does not end')
      const name = this.name()
      const value = this.value(type)
      if (name === '__proto__')
        Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
      else object[name] = value
    }
    return object
  }

  array() {
    this.int()
    const values = []
    for (let type = this.byte(); type !== 0; type = this.byte()) {
      if (type === undefined) refuse(22, 'a BSON array does not end')
      while (this.buffer[this.at++] !== 0);
      values.push(this.value(type))
    }
    return values
  }

  value(type) {
    const { buffer } = this
    switch (type) {
      case 0x01: {
        const value = buffer.readDoubleLE(this.at)
        this.at += 8
        return doubleOf(value)
      }
      case 0x02:
        return this.text()
      case 0x03:
        return this.document()
      case 0x04:
        return this.array()
      case 0x05: {
        const length = this.int()
        const subtype = this.byte()
        const bytes = Buffer.from(buffer.subarray(this.at, this.at + length))
        this.at += length
        return new Binary(bytes, subtype)
      }
      case 0x07: {
        const id = new ObjectId(Buffer.from(buffer.subarray(this.at, this.at + 12)))
        this.at += 12
        return id
      }
      case 0x08:
        return this.byte() === 1
      case 0x09: {
        const value = new Date(Number(buffer.readBigInt64LE(this.at)))
        this.at += 8
        return value
      }
      case 0x0a:
        return null
      case 0x0b:
        return new BSONRegExp(this.name(), this.name())
      case 0x0d:
        return new Code(this.text())
      case 0x0e:
        return new BSONSymbol(this.text())
      case 0x0f: {
        this.int()
        return new Code(this.text(), this.document())
      }
      case 0x10:
        return this.int()
      case 0x11: {
        const low = this.int()
        return new Timestamp(new Long(low, this.int(), true))
      }
      case 0x12: {
        const low = this.int()
        return new Long(low, this.int())
      }
      case 0x13: {
        const value = new Decimal128(Buffer.from(buffer.subarray(this.at, this.at + 16)))
        this.at += 16
        return value
      }
      case 0xff:
        return MIN_KEY
      case 0x7f:
        return MAX_KEY
      default:
        return refuse(22, `the stand-in for MongoDB does not read BSON type 0x${type.toString(16)}`)
    }
  }

  skip(type) {
    const { buffer } = this
    switch (type) {
      case 0x01:
      case 0x09:
      case 0x11:
      case 0x12:
        this.at += 8
        break
      case 0x02:
      case 0x0d:
      case 0x0e:
        this.at += 4 + buffer.readInt32LE(this.at)
        break
      case 0x03:
      case 0x04:
      case 0x0f:
        this.at += buffer.readInt32LE(this.at)
        break
      case 0x05:
        this.at += 5 + buffer.readInt32LE(this.at)
        break
      case 0x07:
        this.at += 12
        break
      case 0x08:
        this.at += 1
        break
      case 0x0a:
      case 0x7f:
      case 0xff:
        break
      case 0x0b:
        this.name()
        this.name()
        break
      case 0x10:
        this.at += 4
        break
      case 0x13:
        this.at += 16
        break
      default:
        refuse(22, `the stand-in for MongoDB does not read BSON type 0x${type.toString(16)}`)
    }
    if (this.at > buffer.length) refuse(22, 'a BSON document ends early')
  }
}

/**
 * A document out of bytes, checked only as far as its length.
 * @param {Buffer} raw
 */
export function documentOf(raw) {
  if (raw.length < 5 || raw.readInt32LE(0) !== raw.length || raw[raw.length - 1] !== 0)
    throw new CommandError(22, 'a BSON document has a wrong length')
  return new Document(raw)
}

class Writer {
  constructor() {
    this.buffer = Buffer.allocUnsafe(1024)
    this.at = 0
  }

  room(bytes) {
    if (this.at + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes))
    this.buffer.copy(larger, 0, 0, this.at)
    this.buffer = larger
  }

  byte(value) {
    this.room(1)
    this.buffer[this.at++] = value
  }

  int(value) {
    this.room(4)
    this.at = this.buffer.writeInt32LE(value, this.at)
  }

  double(value) {
    this.room(8)
    this.at = this.buffer.writeDoubleLE(value, this.at)
  }

  bytes(buffer) {
    this.room(buffer.length)
    this.buffer.set(buffer, this.at)
    this.at += buffer.length
  }

  name(text) {
    if (text.includes('\0')) refuse(22, 'a name in a BSON document may not contain a null byte')
    this.room(text.length * 3 + 1)
    this.at += this.buffer.write(text, this.at, 'utf8')
    this.buffer[this.at++] = 0
  }

  text(text) {
    this.room(text.length * 3 + 5)
    const written = this.buffer.write(text, this.at + 4, 'utf8')
    this.buffer.writeInt32LE(written + 1, this.at)
    this.at += written + 4
    this.buffer[this.at++] = 0
  }

  document(value) {
    if (value instanceof Document) return this.bytes(value.raw)
    const start = this.at
    this.int(0)
    if (Array.isArray(value)) for (let i = 0; i < value.length; i++) this.member(String(i), value[i] ?? null)
    else for (const name of Object.keys(value)) if (value[name] !== undefined) this.member(name, value[name])
    this.byte(0)
    this.buffer.writeInt32LE(this.at - start, start)
  }

  tagged(type, name) {
    this.byte(type)
    this.name(name)
  }

  member(name, value) {
    switch (typeof value) {
      case 'string':
        this.tagged(0x02, name)
        return this.text(value)
      case 'number':
        if ((value | 0) === value && !Object.is(value, -0)) {
          this.tagged(0x10, name)
          return this.int(value)
        }
        this.tagged(0x01, name)
        return this.double(value)
      case 'boolean':
        this.tagged(0x08, name)
        return this.byte(value ? 1 : 0)
      case 'bigint':
        this.tagged(0x12, name)
        this.room(8)
        this.at = this.buffer.writeBigInt64LE(value, this.at)
        return
      default:
        return this.object(name, value)
    }
  }

  object(name, value) {
    if (value === null) return this.tagged(0x0a, name)
    if (Array.isArray(value)) {
      this.tagged(0x04, name)
      return this.document(value)
    }
    if (isPlain(value) || value instanceof Document) {
      this.tagged(0x03, name)
      return this.document(value)
    }
    if (value instanceof Date) {
      this.tagged(0x09, name)
      this.room(8)
      this.at = this.buffer.writeBigInt64LE(BigInt(value.getTime()), this.at)
      return
    }
    switch (value._bsontype) {
      case 'Int32':
        this.tagged(0x10, name)
        return this.int(value.value)
      case 'Double':
        this.tagged(0x01, name)
        return this.double(value.value)
      case 'Long':
      case 'Timestamp':
        this.tagged(value._bsontype === 'Long' ? 0x12 : 0x11, name)
        this.int(value.low)
        return this.int(value.high)
      case 'Decimal128':
        this.tagged(0x13, name)
        return this.bytes(value.bytes)
      case 'ObjectId':
        this.tagged(0x07, name)
        return this.bytes(value.id)
      case 'Binary': {
        this.tagged(0x05, name)
        const bytes = value.value()
        this.int(bytes.length)
        this.byte(value.sub_type)
        return this.bytes(bytes)
      }
      case 'BSONRegExp':
        this.tagged(0x0b, name)
        this.name(value.pattern)
        return this.name(value.options)
      case 'MinKey':
        return this.tagged(0xff, name)
      case 'MaxKey':
        return this.tagged(0x7f, name)
      case 'BSONSymbol':
        this.tagged(0x0e, name)
        return this.text(value.value)
      case 'Code': {
        if (!value.scope) {
          this.tagged(0x0d, name)
          return this.text(value.code)
        }
        this.tagged(0x0f, name)
        const start = this.at
        this.int(0)
        this.text(value.code)
        this.document(value.scope)
        this.buffer.writeInt32LE(this.at - start, start)
        return
      }
      default:
        return refuse(22, `no BSON type for ${Object.prototype.toString.call(value)}`)
    }
  }
}

/**
 * The bytes of a document.
 * @param {Record<string, unknown> | Document} value
 * @returns {Buffer}
 */
export function encode(value) {
  if (value instanceof Document) return value.raw
  const writer = new Writer()
  writer.document(value)
  return writer.buffer.subarray(0, writer.at)
}

/** The same after some free bytes, for a header. */
export function encodeAfter(room, value) {
  const writer = new Writer()
  writer.at = room
  writer.document(value)
  return writer.buffer.subarray(0, writer.at)
}

/** A document out of a computed object. */
export const documentFrom = (object) => new Document(Buffer.from(encode(object)))

/** The number a BSON number stands for, where it fits a double; undefined for anything else. */
export function numberOf(value) {
  if (typeof value === 'number') return value
  if (value instanceof Double || value instanceof Int32) return value.value
  if (value instanceof Long && !(value instanceof Timestamp)) return value.toNumber()
  if (value instanceof Decimal128) return Number(value.toString())
  return undefined
}

/** The name of a value's BSON type, as `$type` and the error texts use it. */
export function typeName(value) {
  switch (typeof value) {
    case 'string':
      return 'string'
    case 'number':
      return Number.isInteger(value) && (value | 0) === value && !Object.is(value, -0) ? 'int' : 'double'
    case 'boolean':
      return 'bool'
    case 'undefined':
      return 'missing'
    case 'bigint':
      return 'long'
    default:
  }
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (value instanceof Date) return 'date'
  if (isPlain(value) || value instanceof Document) return 'object'
  const names = {
    Double: 'double',
    Int32: 'int',
    Long: 'long',
    Decimal128: 'decimal',
    Timestamp: 'timestamp',
    ObjectId: 'objectId',
    Binary: 'binData',
    BSONRegExp: 'regex',
    BSONSymbol: 'symbol',
    Code: value.scope ? 'javascriptWithScope' : 'javascript',
    MinKey: 'minKey',
    MaxKey: 'maxKey',
  }
  return names[value._bsontype]
}
