/**
 * All commands that work on a site.
 *
 * https://clig.dev/#subcommands
 */
import { auditCommands } from './audit-command.js'
import type { Action, CommandGroup } from './command.js'
import { tenantCommands } from './tenant-command.js'

export const commandGroups: readonly CommandGroup[] = [tenantCommands, auditCommands]

export const actions: Readonly<Record<string, Action>> = Object.assign(
  {},
  ...commandGroups.map((group) => group.actions),
)
