/**
 * Whether a password is among those that were stolen elsewhere and are tried first.
 *
 * https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
 * https://haveibeenpwned.com/Passwords
 *
 * A larger list is a file in the format of Pwned Passwords ("ordered by hash"): one SHA-1 in hexadecimal a line, sorted,
 * with or without `:count`. It stays on disk; a look-up is a binary search of some forty small reads.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { commonest } from './commonest.js'

export async function breached(path?: string): Promise<(password: string) => Promise<boolean>> {
  const file = path ? await open(path, 'r') : undefined
  if (file) await expectHashes(file)
  return async (password) => {
    if (commonest.has(password.toLowerCase()) || commonest.has(bare(password))) return true
    return file !== undefined && holds(file, createHash('sha1').update(password).digest('hex').toUpperCase())
  }
}

/** Without what people add when they are told to: digits and signs at the end. */
const bare = (password: string): string => password.toLowerCase().replace(/[\d\W_]{1,4}$/, '')

const lineMax = 64

async function expectHashes(file: FileHandle): Promise<void> {
  const line = await lineFrom(file, 0)
  if (!/^[0-9A-F]{40}$/.test(line?.hash ?? '')) {
    await file.close()
    throw new Error('the file of breached passwords has no SHA-1 hashes: one in hexadecimal a line, sorted')
  }
}

async function holds(file: FileHandle, hash: string): Promise<boolean> {
  let [low, high] = [0, (await file.stat()).size]
  // The line that is looked for begins at or after `low` and before `high`.
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const line = await lineFrom(file, middle)
    if (line?.hash === hash) return true
    if (line === undefined || line.hash > hash) high = middle
    else low = line.end
  }
  return false
}

/** The first line that begins at a place or after it; the place itself begins a line only if one ends before it. */
async function lineFrom(file: FileHandle, place: number): Promise<{ hash: string; end: number } | undefined> {
  const from = Math.max(0, place - 1)
  const buffer = Buffer.alloc(lineMax * 3)
  const { bytesRead } = await file.read(buffer, 0, buffer.length, from)
  const begin = place === 0 ? 0 : buffer.subarray(0, bytesRead).indexOf(10) + 1
  if (place !== 0 && begin === 0) return undefined
  const next = buffer.subarray(0, bytesRead).indexOf(10, begin)
  const end = next < 0 ? bytesRead : next
  const hash = buffer.toString('latin1', begin, Math.min(end, begin + 40)).toUpperCase()
  return hash === '' ? undefined : { hash, end: from + end + 1 }
}
