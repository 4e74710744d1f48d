/**
 * Hashes of texts, as names for them.
 */
import { createHash } from 'node:crypto'

/** Of a secret with 256 random bits a plain hash tells nothing. */
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('base64url')

/** A short name of a long text, for keys. */
export const digest = (text: string): string => hashOf(text).slice(0, 22)
