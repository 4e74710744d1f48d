/**
 * All commands that work on a site.
 *
 * https://clig.dev/#subcommands
 */
import { auditCommands } from './audit-command.js'
import { clientCommands } from './client-command.js'
import type { Action, CommandGroup } from './command.js'
import { fixturesCommands } from './fixtures-command.js'
import { keysCommands } from './keys-command.js'
import { packageCommands } from './package-command.js'
import { tenantCommands } from './tenant-command.js'
import { tokenCommands } from './token-command.js'
import { userCommands } from './user-command.js'

export const commandGroups: readonly CommandGroup[] = [
  tenantCommands,
  userCommands,
  clientCommands,
  tokenCommands,
  keysCommands,
  fixturesCommands,
  auditCommands,
  packageCommands,
]

export const actions: Readonly<Record<string, Action>> = Object.assign(
  {},
  ...commandGroups.map((group) => group.actions),
)
