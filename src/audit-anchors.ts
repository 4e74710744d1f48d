/**
 * Signs the heads of the audit logs now and then, while the server runs, and when it ends.
 *
 * https://www.rfc-editor.org/rfc/rfc9162#section-4.10
 */
import { appendFile } from 'node:fs/promises'
import type { Logger } from 'pino'
import { anchor } from './access/index.js'
import type { Config } from './config.js'
import type { Site } from './site.js'

/** How often it is looked whether an anchor is due, and when it is. */
const lookMs = 60_000
const due = { records: 1000, ms: 10 * 60_000 }

export type Anchors = { close(): Promise<void> }

/** What is signed is also appended to the file that AUDIT_ANCHORS names, or written to standard output. */
export function keepAnchors(
  { audit, auditAnchors }: Pick<Config, 'audit' | 'auditAnchors'>,
  site: Site,
  { log, clock = Date.now }: { log: Logger; clock?: (() => number) | undefined },
): Anchors {
  if (!audit) return { close: async () => {} }
  const look = async (wants: Parameters<typeof anchor>[1]) => {
    for (const { name: tenant } of await site.tenants())
      try {
        const { audit: entries } = site.database.tenant(tenant)
        const made = await anchor({ tenant, log: entries, secrets: site.database.secrets, clock }, wants)
        if (made) await keep(auditAnchors, made.jws)
      } catch (err) {
        // The next look makes up for it: an anchor vouches for everything before it.
        log.error({ err }, 'the head of an audit log could not be signed or kept')
      }
  }
  const isDue = ({ records, ms }: typeof due) => records >= due.records || ms >= due.ms
  let looking: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    looking = looking.then(() => look(isDue))
  }, lookMs).unref()
  return {
    close: async () => {
      clearInterval(timer)
      await looking
      await look(() => true)
    },
  }
}

async function keep(where: string, jws: string): Promise<void> {
  if (where === '') return
  if (where === 'stdout') process.stdout.write(`${jws}\n`)
  else await appendFile(where, `${jws}\n`)
}
