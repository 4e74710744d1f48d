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

/** `kind` keeps a token of one interaction from being used in another. */
export function seal({ caller, settings }: Context, kind: string, reach: Reach, state: Json): string {
  const text = deflateRawSync(JSON.stringify([reach.key, state]))
  const iv = randomBytes(ivLength)
  const cipher = createCipheriv('aes-256-gcm', settings.sealingKey, iv).setAAD(bound(kind, caller.id))
  const sealed = Buffer.concat([cipher.update(text), cipher.final()])
  return Buffer.concat([iv, sealed, cipher.getAuthTag()]).toString('base64url')
}

/** @throws FhirError invalid for a token that is not ours or not this caller's, 410 where the reach has changed since */
export function unseal({ caller, settings }: Context, kind: string, reach: Reach, token: string): Json {
  const bytes = Buffer.from(token, 'base64url')
  const opened = open(bytes, settings.sealingKey, bound(kind, caller.id))
  if (!Array.isArray(opened)) throw invalid('this is no page link of ours for you; begin the search again', '_page')
  const [key, state] = opened
  if (key !== reach.key)
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
    const text = Buffer.concat([decipher.update(bytes.subarray(ivLength, -tagLength)), decipher.final()])
    return parseJson(inflateRawSync(text, { maxOutputLength: inflatedMax }))
  } catch {
    // The tag does not fit: made for another caller or another kind of page, tampered with, or sealed by another key.
    return null
  }
}

const bound = (kind: string, callerId: string) => Buffer.from(`${kind}\n${callerId}`)
