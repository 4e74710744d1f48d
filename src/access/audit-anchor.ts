/**
 * Signed heads of an audit log: what its chain ended with at a time, to be kept where nobody can change both.
 *
 * https://www.rfc-editor.org/rfc/rfc9162#section-4.10, https://www.rfc-editor.org/rfc/rfc7515
 *
 * A chain alone shows that something within it was changed, but who can write the store can write all of it anew, or
 * leave out its end. A head that was signed before, and kept elsewhere, shows that too.
 */
import { generateKeyPairSync } from 'node:crypto'
import { CompactSign, calculateJwkThumbprint, compactVerify, importJWK, type JWK } from 'jose'
import type { AuditEntry, AuditLog, Secrets } from '../store/index.js'
import { Verifier } from '../store/index.js'
import { newAuditId, prepared } from './audit-entry.js'
import { server } from './caller.js'

/** `hash` in base64url; `at` milliseconds since 1970. */
export type Head = { tenant: string; sequence: number; hash: string; at: number }

/** A place in a chain that somebody signed, and where it was found. */
export type Signed = { head: Head; jws: string }

const keyName = 'audit/key'
const algorithm = 'EdDSA'
export const anchorKey = 'audit-anchor'
const lastName = (tenant: string) => `audit/anchor/${tenant}`

type Keys = { private: JWK; public: JWK }

/** The site's key for heads, made when it is first needed. `secrets` are those of the database. */
async function keysOf(secrets: Secrets): Promise<Keys> {
  const made = await secrets.get(keyName)
  if (made !== undefined) return JSON.parse(made) as Keys
  const pair = generateKeyPairSync('ed25519')
  const own = pair.publicKey.export({ format: 'jwk' }) as JWK
  const kid = await calculateJwkThumbprint(own)
  const named = { kid, alg: algorithm, use: 'sig' }
  const keys: Keys = {
    private: { ...(pair.privateKey.export({ format: 'jwk' }) as JWK), ...named },
    public: { ...own, ...named },
  }
  await secrets.swap(keyName, undefined, JSON.stringify(keys))
  return JSON.parse((await secrets.get(keyName))!) as Keys
}

/** The public key, to be kept beside the anchors. */
export const anchorPublicKey = async (secrets: Secrets): Promise<JWK> => (await keysOf(secrets)).public

export type Anchoring = { tenant: string; log: AuditLog; secrets: Secrets; clock: () => number }

/**
 * Signs the head of the log, records the anchor in it, and keeps it as the last; undefined where nothing was recorded
 * since, or `due` does not want one yet.
 */
export async function anchor(
  { tenant, log, secrets, clock }: Anchoring,
  due: (since: { records: number; ms: number }) => boolean = () => true,
): Promise<Signed | undefined> {
  const end = await log.head()
  if (!end) return undefined
  const last = await lastAnchor(secrets, tenant)
  const at = clock()
  // The last anchor itself is a record.
  const records = end.sequence - (last ? last.head.sequence + 1 : 0)
  if (records <= 0 || !due({ records, ms: last ? at - last.head.at : Number.POSITIVE_INFINITY })) return undefined
  const head: Head = { tenant, sequence: end.sequence, hash: end.hash.toString('base64url'), at }
  const keys = await keysOf(secrets)
  const jws = await new CompactSign(Buffer.from(JSON.stringify(head)))
    .setProtectedHeader({ alg: algorithm, ...(keys.private.kid !== undefined && { kid: keys.private.kid }) })
    .sign(await importJWK(keys.private, algorithm))
  await log.append([anchorEntry(tenant, jws, at)])
  await secrets.put(lastName(tenant), jws)
  return { head, jws }
}

function anchorEntry(tenant: string, jws: string, at: number): AuditEntry {
  const { json } = prepared(server(tenant, 'audit'))
  return {
    id: newAuditId(),
    at,
    keys: [anchorKey],
    text: `{"what":"anchor","outcome":0,"anchor":"${jws}","by":${json}}`,
  }
}

async function lastAnchor(secrets: Secrets, tenant: string): Promise<Signed | undefined> {
  const jws = await secrets.get(lastName(tenant))
  return jws === undefined ? undefined : { head: JSON.parse(payloadOf(jws)) as Head, jws }
}

const payloadOf = (jws: string): string => Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()

/** The head that a key of ours has signed; undefined for anything else. */
async function verified(jws: string, key: JWK): Promise<Head | undefined> {
  try {
    const { payload } = await compactVerify(jws, await importJWK(key, algorithm), { algorithms: [algorithm] })
    return JSON.parse(Buffer.from(payload).toString()) as Head
  } catch {
    return undefined
  }
}

export type Verdict = { records: number; anchors: number; findings: string[] }

/** Records that are read at a time. */
const pageSize = 1000

/** So many findings say that it is broken; more would say no more. */
const findingsMax = 100

/**
 * Goes through the whole chain, and holds it against its anchors: those in the log, the last one, and those that were
 * kept elsewhere (`kept`, as JWS). `key` is the public key where that was kept elsewhere too.
 */
export async function verifyAudit(
  { tenant, log, secrets }: Omit<Anchoring, 'clock'>,
  { kept = [], key }: { kept?: readonly string[]; key?: JWK } = {},
): Promise<Verdict> {
  const trusted = key ?? (await anchorPublicKey(secrets))
  const findings: string[] = []
  const last = await lastAnchor(secrets, tenant)
  const anchors: { sequence: number; hash: Buffer }[] = []
  const take = async (jws: string, from: string) => {
    const head = await verified(jws, trusted)
    if (!head) findings.push(`an anchor ${from} is not signed by the key of this site`)
    else if (head.tenant === tenant)
      anchors.push({ sequence: head.sequence, hash: Buffer.from(head.hash, 'base64url') })
  }
  for (const jws of kept) await take(jws, 'that was kept elsewhere')
  if (last) await take(last.jws, 'in the secrets of the store')
  for await (const text of anchorsIn(log)) await take(text, 'in the log')
  const verifier = new Verifier({ anchors })
  // Two anchors for one place that differ cannot both be true, and only one of them is held against the chain.
  findings.push(...contradictions(anchors))
  let records = 0
  for (let after = 0; ; ) {
    const page = await log.chain(after, pageSize)
    for (const record of page) verifier.add(record)
    records += page.length
    const end = page.at(-1)?.sequence
    if (end === undefined || page.length < pageSize) break
    after = end
  }
  for (const { sequence, what } of verifier.end()) findings.push(`record ${sequence} ${what}`)
  return { records, anchors: anchors.length, findings: findings.slice(0, findingsMax) }
}

async function* anchorsIn(log: AuditLog): AsyncGenerator<string> {
  let after: { at: number; id: string } | undefined
  do {
    const page = await log.find({ key: anchorKey, ascending: true, count: pageSize, ...(after && { after }) })
    for (const { text } of page) yield anchorOf(text)
    const end = page.at(-1)
    after = end && page.length === pageSize ? { at: end.at, id: end.id } : undefined
  } while (after)
}

function anchorOf(text: string): string {
  try {
    const { anchor: jws } = JSON.parse(text) as { anchor?: string }
    return jws ?? ''
  } catch {
    return ''
  }
}

function contradictions(anchors: readonly { sequence: number; hash: Buffer }[]): string[] {
  const hashes = new Map<number, string>()
  return anchors.flatMap(({ sequence, hash }) => {
    const text = hash.toString('base64url')
    const other = hashes.get(sequence)
    hashes.set(sequence, text)
    return other === undefined || other === text ? [] : [`record ${sequence} has anchors that contradict each other`]
  })
}
