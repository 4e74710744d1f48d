/**
 * `hospitallink tenant`: the hard partitions of a site.
 *
 * https://hl7.org/fhir/R4/http.html#root
 */
import { type CommandGroup, CommandRefused, columns, neededOf, textOf } from './command.js'
import type { Site } from './site.js'

export const tenantCommands: CommandGroup = {
  declare(program, run) {
    const tenant = program.command('tenant').description('add and list tenants: hard partitions, each with its own URL')
    tenant
      .command('add')
      .description('make a tenant; its FHIR base is /t/NAME/fhir')
      .argument('<name>', 'lower-case letters, digits and -')
      .option('--title <text>', 'how people call it; the name unless said')
      .addHelpText('after', '\nExample: hospitallink tenant add north --title "Hospitals of the north"')
      .action((name: string, { title }: { title?: string }) => run('tenant add', { name, title }))
    tenant
      .command('list')
      .description('show the tenants and their FHIR bases')
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample: hospitallink tenant list')
      .action(({ json }: { json?: true }) => run('tenant list', { json }))
  },
  actions: {
    'tenant add': async ({ site }, input) => {
      const { isTenantName } = await import('./site.js')
      const name = neededOf(input, 'name')
      const title = textOf(input, 'title') ?? name
      if (!isTenantName(name))
        throw new CommandRefused('The name must be 1 to 63 of a-z, 0-9 and -, and not begin with -.')
      if (title.length > 200) throw new CommandRefused('The title must have at most 200 characters.')
      if (!(await site.addTenant({ name, title }))) throw new CommandRefused(`There is a tenant "${name}" already.`)
      return [`The FHIR base of ${name} is ${await baseOf(site, name)}`]
    },
    'tenant list': async ({ site }, input) => {
      const tenants = await site.tenants()
      const rows = await Promise.all(
        tenants.map(async ({ name, title }) => ({ name, title, base: await baseOf(site, name) })),
      )
      if (input['json'] === true) return rows.map((row) => JSON.stringify(row))
      return columns([['NAME', 'TITLE', 'FHIR BASE'], ...rows.map(({ name, title, base }) => [name, title, base])])
    },
  },
}

const baseOf = async (site: Site, name: string): Promise<string> => (await site.world(name))!.baseUrls[0]!
