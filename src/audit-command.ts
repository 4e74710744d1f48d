/**
 * `hospitallink audit`: whether the audit log is whole, and its signed heads.
 *
 * https://www.rfc-editor.org/rfc/rfc9162
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { JWK } from 'jose'
import { type CommandGroup, CommandRefused, textOf, worldOf } from './command.js'
import type { Site, World } from './site.js'

export const auditCommands: CommandGroup = {
  declare(program, run) {
    const audit = program.command('audit').description('verify the audit log, sign its head, show the key')
    audit
      .command('verify')
      .description('go through the whole log: edits, insertions, gaps, another order, a missing end')
      .option('--anchor <file>', 'signed heads that were kept elsewhere, one a line')
      .option('--key <file>', 'the public key as it was kept elsewhere (JWK)')
      .option('--tenant <name>', 'the tenant; the default one unless said')
      .addHelpText('after', '\nExample: hospitallink audit verify --anchor /mnt/safe/anchors')
      .action(({ anchor, key, tenant }: { anchor?: string; key?: string; tenant?: string }) =>
        run('audit verify', { anchor: anchor && resolve(anchor), key: key && resolve(key), tenant }),
      )
    audit
      .command('anchor')
      .description('sign the head of the log now, and print it: keep the line elsewhere')
      .option('--tenant <name>', 'the tenant; the default one unless said')
      .addHelpText('after', '\nExample: hospitallink audit anchor >> /mnt/safe/anchors')
      .action(({ tenant }: { tenant?: string }) => run('audit anchor', { tenant }))
    audit
      .command('key')
      .description('print the public key that heads are signed with (JWK)')
      .addHelpText('after', '\nExample: hospitallink audit key > /mnt/safe/audit-key.json')
      .action(() => run('audit key', {}))
  },
  actions: {
    'audit verify': async (operated, input) => {
      const { verifyAudit } = await import('./access/index.js')
      const world = await worldOf(operated, input)
      const file = textOf(input, 'anchor')
      const keyFile = textOf(input, 'key')
      const { records, anchors, findings } = await verifyAudit(logOf(operated.site, world), {
        ...(file !== undefined && { kept: linesOf(file) }),
        ...(keyFile !== undefined && { key: keyIn(keyFile) }),
      })
      if (findings.length)
        throw new CommandRefused([`The audit log of ${world.tenant} is NOT as it was written:`, ...findings].join('\n'))
      return [`${records} records of ${world.tenant}, held against ${anchors} anchors: all in order.`]
    },
    'audit anchor': async (operated, input) => {
      const { anchor } = await import('./access/index.js')
      const world = await worldOf(operated, input)
      const made = await anchor({ ...logOf(operated.site, world), clock: world.context.clock })
      if (!made) throw new CommandRefused('Nothing was recorded since the last anchor.')
      return [made.jws]
    },
    'audit key': async ({ site }) => {
      const { anchorPublicKey } = await import('./access/index.js')
      return [JSON.stringify(await anchorPublicKey(site.database.secrets))]
    },
  },
}

const logOf = ({ database }: Site, { tenant }: World) => ({
  tenant,
  log: database.tenant(tenant).audit,
  secrets: database.secrets,
})

const linesOf = (file: string): string[] =>
  contentOf(file)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

function keyIn(file: string): JWK {
  try {
    return JSON.parse(contentOf(file)) as JWK
  } catch (cause) {
    if (cause instanceof CommandRefused) throw cause
    throw new CommandRefused(`${file} holds no key in JSON (JWK).`, { cause })
  }
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CommandRefused(`${file} cannot be read.`, { cause })
  }
}
