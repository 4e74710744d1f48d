/**
 * Paging tokens: all that the next page needs, sealed, so that the server keeps no state and links no patient data.
 *
 * https://hl7.org/fhir/R4/http.html#paging
 *
 * AES-256-GCM with the server's key. A token serves only the caller it was made for, and only while that caller may see
 * what they saw then: the reach is part of it, and is judged again when it is used.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { FhirError, invalid, type Json, parseJson } from '../fhir/index.js'
import type { Reach } from '../search/index.js'
import type { Context } from './context.js'

const ivLength = 12
const tagLength = 16
const inflatedMax = 1 << 20
/** Shorter states are sealed as they are: compressing costs more than all the rest. */
const plainMax = 600

/** `kind` keeps a token of one interaction from being used in another. */
export function seal({ caller, settings }: Context, kind: string, reach: Reach, state: Json): string {
  const text = Buffer.from(JSON.stringify([reach.lasting, state]))
  const packed = text.length > plainMax ? deflateRawSync(text) : text
  const iv = nextIv()
  const cipher = createCipheriv('aes-256-gcm', settings.sealingKey, iv).setAAD(bound(kind, caller.id))
  const form = Buffer.from([packed === text ? 0 : 1])
  return Buffer.concat([iv, cipher.update(form), cipher.update(packed), cipher.final(), cipher.getAuthTag()]).toString(
    'base64url',
  )
}

let ivPrefix = randomBytes(8)
let ivCount = 0

/** Never the same twice under one key: random for each process, and counted within it. */
function nextIv(): Buffer {
  if (ivCount === 2 ** 32) {
    ivPrefix = randomBytes(8)
    ivCount = 0
  }
  const iv = Buffer.allocUnsafe(ivLength)
  ivPrefix.copy(iv)
  iv.writeUInt32BE(ivCount++, 8)
  return iv
}

/** @throws FhirError invalid for a token that is not ours or not this caller's, 410 where the reach has changed since */
export function unseal({ caller, settings }: Context, kind: string, reach: Reach, token: string): Json {
  const bytes = Buffer.from(token, 'base64url')
  const opened = open(bytes, settings.sealingKey, bound(kind, caller.id))
  if (!Array.isArray(opened)) throw invalid('this is no page link of ours for you; begin the search again', '_page')
  const [key, state] = opened
  if (key !== reach.lasting)
    throw new FhirError(410, [
      { severity: 'error', code: 'expired', diagnostics: 'what you may see has changed; begin the search again' },
    ])
  return state ?? null
}

function open(bytes: Buffer, key: Uint8Array, bound: Buffer): Json {
  if (bytes.length <= ivLength + tagLength) return null
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, ivLength))
  decipher.setAAD(bound).setAuthTag(bytes.subarray(-tagLength))
  try {
    const opened = Buffer.concat([decipher.update(bytes.subarray(ivLength, -tagLength)), decipher.final()])
    const packed = opened.subarray(1)
    return parseJson(opened[0] === 0 ? packed : inflateRawSync(packed, { maxOutputLength: inflatedMax }))
  } catch {
    // The tag does not fit: made for another caller or another kind of page, tampered with, or sealed by another key.
    return null
  }
}

const bound = (kind: string, callerId: string) => Buffer.from(`${kind}\n${callerId}`)
