/**
 * A site with its people and its authorization servers: what a server answers with, and what commands work on.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/
 */
import type { Logger } from 'pino'
import { Authorizations, type OpenIdentities } from './authorization.js'
import type { Operated } from './command.js'
import type { Config } from './config.js'
import { Directory } from './identities.js'
import type { Site } from './site.js'

/** `identities` stands in for the people of the settings, in tests. */
export function operated(
  config: Config,
  site: Site,
  log: Logger,
  identities?: OpenIdentities,
): Operated & { authorizations: Authorizations } {
  const directory = new Directory({ config, site, log })
  const authorizations = new Authorizations({ config, site, log, identities: identities ?? directory.identities })
  return {
    config,
    site,
    authorizations,
    smart: (world) => authorizations.of(world),
    people: (world) => directory.of(world),
  }
}
