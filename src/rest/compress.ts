/**
 * Compression of answers for clients that accept it.
 *
 * https://hl7.org/fhir/R4/http.html#compression
 *
 * Speeds are chosen so that compressing costs less time than it saves on a hospital's line: it runs on Node's thread
 * pool and not on the thread that answers.
 */

import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import { brotliCompress, constants, createBrotliCompress, createGzip, gzip } from 'node:zlib'

export type Encoding = 'br' | 'gzip'

/** Below this many bytes the headers weigh more than what is saved. */
export const compressMin = 1024

const brotliOptions = (size?: number) => ({
  params: {
    [constants.BROTLI_PARAM_QUALITY]: 4,
    [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
    ...(size !== undefined && { [constants.BROTLI_PARAM_SIZE_HINT]: size }),
  },
})

/** The best encoding an Accept-Encoding header allows; undefined for none. */
export function encodingOf(header: string | string[] | undefined): Encoding | undefined {
  if (header === undefined || header === '') return undefined
  const allowed = { br: 0, gzip: 0 }
  for (const each of String(header).split(',')) {
    const [name = '', ...parameters] = each.split(';').map((part) => part.trim().toLowerCase())
    const quality = Number(parameters.find((text) => text.startsWith('q='))?.slice(2) ?? 1)
    if (name === 'br' || name === 'gzip') allowed[name] = quality
    else if (name === '*') {
      allowed.br ||= quality
      allowed.gzip ||= quality
    }
  }
  if (allowed.br > 0 && allowed.br >= allowed.gzip) return 'br'
  return allowed.gzip > 0 ? 'gzip' : undefined
}

const gzipped = promisify<Buffer, { level: number }, Buffer>(gzip)

export const compress = (body: Buffer, encoding: Encoding): Promise<Buffer> =>
  encoding === 'gzip'
    ? gzipped(body, { level: 5 })
    : new Promise((resolve, reject) =>
        brotliCompress(body, brotliOptions(body.length), (error, result) => (error ? reject(error) : resolve(result))),
      )

export const compressor = (encoding: Encoding): Transform =>
  encoding === 'br' ? createBrotliCompress(brotliOptions()) : createGzip({ level: 5 })
