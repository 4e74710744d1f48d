/**
 * `hospitallink package`: loads the conformance resources of a FHIR package into the store.
 *
 * https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
 *
 * A resource that is there already, by its url and version, stays as it is: a package can be added again.
 */
import { readFileSync } from 'node:fs'
import { type CommandGroup, CommandRefused, neededOf, textOf, worldOf } from './command.js'
import { FhirError, parseJson, type Resource } from './fhir/index.js'
import { type PackageFile, unpacked } from './package-archive.js'

/** What a package is loaded for; its examples are not. */
const conformance =
  'CodeSystem ValueSet ConceptMap NamingSystem StructureDefinition SearchParameter ImplementationGuide Measure Library'.split(
    ' ',
  )

export const packageCommands: CommandGroup = {
  declare(program, run) {
    const group = program.command('package').description('FHIR packages: profiles, value sets and what belongs to them')
    group
      .command('add')
      .description('load the profiles, value sets, code systems and search parameters of a package (.tgz)')
      .argument('<file>', 'the package')
      .option('--tenant <name>', 'for this tenant instead of the default one')
      .addHelpText('after', '\nExample: hospitallink package add hospitallink.hiv.tgz')
      .action((file: string, { tenant }: { tenant?: string }) =>
        run('package add', { file, tenant, content: readFileSync(file).toString('base64') }),
      )
  },
  actions: {
    'package add': async (operated, input) => {
      const { server } = await import('./access/index.js')
      const { create } = await import('./interactions/index.js')
      const world = await worldOf(operated, { tenant: textOf(input, 'tenant') })
      const context = world.contextOf(server(world.tenant, 'package'))
      const resources = resourcesOf(Buffer.from(neededOf(input, 'content'), 'base64'))
      const counts = { created: 0, unchanged: 0 }
      const refused: string[] = []
      for (const resource of resources)
        try {
          const { outcome } = await create(context, resource, { ifNoneExist: criteriaOf(resource) })
          if (outcome === 'created') counts.created++
          else counts.unchanged++
        } catch (error) {
          if (!(error instanceof FhirError)) throw error
          const reason = error.issues[0]?.diagnostics ?? `status ${error.status}`
          refused.push(`refused: ${resource.resourceType} ${String(resource['url'])}: ${reason}`)
        }
      return [
        `${counts.created} resources added, ${counts.unchanged} were there already, ${refused.length} refused`,
        ...refused,
      ]
    },
  },
}

function resourcesOf(archive: Buffer): Resource[] {
  try {
    return unpacked(archive)
      .flatMap(resourceIn)
      .sort((a, b) => conformance.indexOf(a.resourceType) - conformance.indexOf(b.resourceType))
  } catch (error) {
    if (error instanceof RangeError) throw new CommandRefused(`${error.message}.`, { cause: error })
    throw error
  }
}

/** Files of the folder `package` itself; `package/example` and others hold what is not conformance. */
function resourceIn({ name, content }: PackageFile): Resource[] {
  if (!/^package\/[^/]+\.json$/.test(name) || /\/(package|\.index)\.json$/.test(name)) return []
  try {
    const resource = parseJson(content) as Resource
    return conformance.includes(resource.resourceType) && typeof resource['url'] === 'string' ? [resource] : []
  } catch (error) {
    if (error instanceof FhirError) throw new RangeError(`${name} is no JSON`)
    throw error
  }
}

function criteriaOf({ url, version }: Resource): string {
  const criteria = new URLSearchParams({ url: String(url) })
  if (typeof version === 'string') criteria.set('version', version)
  return criteria.toString()
}
