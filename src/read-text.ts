/**
 * The whole of a stream as text, within a limit.
 *
 * https://nodejs.org/docs/latest-v20.x/api/stream.html#consuming-readable-streams-with-async-iterators
 */
import type { Readable } from 'node:stream'

export async function readText(stream: Readable, sizeMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += (chunk as Buffer).length
    if (size > sizeMax) throw new RangeError(`more than ${sizeMax} bytes`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks, size).toString()
}
