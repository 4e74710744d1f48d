/**
 * Commands that work on a site: what they are made of, and where they are carried out.
 *
 * https://clig.dev/
 *
 * One process at a time has the embedded store open. While a server runs, it carries the command out itself, asked
 * through the door beside its store (command-door.ts); otherwise this process opens the store. The command is the same.
 */
import type { Command } from 'commander'
import type { Config } from './config.js'
import type { Site, World } from './site.js'
import type { AuthorizationServer, People } from './smart/index.js'

/** What a person asked for, as options and arguments. */
export type Input = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

/** What a command works on. */
export type Operated = {
  config: Config
  site: Site
  /** The authorization server of a tenant that is there. */
  smart(world: World): Promise<AuthorizationServer>
  people(world: World): Promise<People>
}

/** Carries out an action; what is returned are lines to print. @throws CommandRefused */
export type Action = (operated: Operated, input: Input) => Promise<string[]>

export type Run = (action: string, input: Input) => Promise<void>

/**
 * The commands of one word: how they are written, and what they do. Actions import what they need when they are carried
 * out, so that showing help does not load a server.
 */
export type CommandGroup = { declare(program: Command, run: Run): void; actions: Readonly<Record<string, Action>> }

/** A sentence for the person at the keyboard. */
export class CommandRefused extends Error {
  override name = 'CommandRefused'
}

/** Where a running server on this store listens for commands; undefined where every process may open the store. */
export const doorOf = ({ store }: Pick<Config, 'store'>): string | undefined =>
  store.kind === 'sqlite' && store.path !== ':memory:' ? `${store.path}.door` : undefined

export const textOf = (input: Input, name: string): string | undefined => {
  const value = input[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function neededOf(input: Input, name: string): string {
  const value = textOf(input, name)
  if (value === undefined) throw new CommandRefused(`${name} is missing.`)
  return value
}

export const listOf = (input: Input, name: string): string[] => {
  const value = input[name]
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

/** The tenant a command is about: `--tenant`, or the default one. */
export async function worldOf({ site }: Operated, input: Input): Promise<World> {
  const tenant = textOf(input, 'tenant') ?? 'default'
  const world = await site.world(tenant)
  if (!world) throw new CommandRefused(`There is no tenant "${tenant}"; "hospitallink tenant list" shows them.`)
  return world
}

export const smartOf = async (operated: Operated, input: Input): Promise<AuthorizationServer> =>
  operated.smart(await worldOf(operated, input))

export const peopleOf = async (operated: Operated, input: Input): Promise<People> =>
  operated.people(await worldOf(operated, input))

/** Rows as columns; the first row is their heads. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, at) => Math.max(all[at] ?? 0, cell.length)), [])
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  )
}
