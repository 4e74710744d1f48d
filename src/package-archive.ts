/**
 * FHIR packages as files: a gzipped tar whose folder `package` holds package.json, .index.json and the resources.
 *
 * https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
 */
import { gunzipSync, gzipSync } from 'node:zlib'

/** Bytes of a package after decompression; HL7's own for R4 has 70 MB. */
const unpackedMax = 256 * 1024 * 1024
const block = 512

export type PackageFile = { name: string; content: Buffer }

/** @throws RangeError if it is no package or too large */
export function unpacked(archive: Buffer): PackageFile[] {
  const tar = gunzipped(archive)
  const files: PackageFile[] = []
  for (let at = 0; at + block <= tar.length && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + block)
    const size = Number.parseInt(text(header, 124, 12), 8)
    if (!Number.isSafeInteger(size) || size < 0 || at + block + size > tar.length)
      throw new RangeError('the package is cut off or damaged')
    const prefix = text(header, 345, 155)
    const name = prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`
    const isFile = header[156] === 0 || header[156] === fileType
    if (isFile) files.push({ name, content: tar.subarray(at + block, at + block + size) })
    at += block + Math.ceil(size / block) * block
  }
  return files
}

const fileType = '0'.charCodeAt(0)

function gunzipped(archive: Buffer): Buffer {
  try {
    return gunzipSync(archive, { maxOutputLength: unpackedMax })
  } catch (cause) {
    throw new RangeError('the file is no FHIR package (.tgz), or too large', { cause })
  }
}

const text = (header: Buffer, from: number, length: number): string =>
  header
    .toString('utf8', from, from + length)
    .replace(/\0[\s\S]*$/, '')
    .trim()

/** Without times or owners, so that the same content is the same file. */
export function packed(files: readonly PackageFile[]): Buffer {
  const parts = files.flatMap(({ name, content }) => [
    headerOf(name, content.length),
    content,
    Buffer.alloc((block - (content.length % block)) % block),
  ])
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * block)]))
}

function headerOf(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new RangeError(`the name ${name} is too long for a package`)
  const header = Buffer.alloc(block)
  header.write(name, 0)
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write(`${'0'.padStart(11, '0')}\0`, 136)
  header.write('        ', 148)
  header.write('0ustar\0', 156)
  header.write('00', 263)
  const sum = header.reduce((all, byte) => all + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
