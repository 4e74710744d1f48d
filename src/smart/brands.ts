/**
 * User-access brands: what an app shows people who look for their hospital.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html
 */
import type { JsonObject } from '../fhir/index.js'
import { brandIdentifier, ownRoutes } from './discovery.js'
import type { SmartContext } from './smart-context.js'

export function brandBundle({ baseUrls, issuer, settings }: SmartContext, timestamp: string): JsonObject {
  const base = baseUrls[0]!
  const [brand, endpoint] = [
    `${issuer}${ownRoutes.brands}/Organization/brand`,
    `${issuer}${ownRoutes.brands}/Endpoint/fhir`,
  ]
  const website = new URL(base).origin
  return {
    resourceType: 'Bundle',
    type: 'collection',
    timestamp,
    entry: [
      {
        fullUrl: brand,
        resource: {
          resourceType: 'Organization',
          id: 'brand',
          meta: { profile: ['http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-brand'] },
          extension: [
            {
              url: 'http://hl7.org/fhir/StructureDefinition/organization-portal',
              extension: [
                { url: 'portalName', valueString: settings.title },
                { url: 'portalUrl', valueUrl: issuer + ownRoutes.apps },
                { url: 'portalEndpoint', valueReference: { reference: 'Endpoint/fhir' } },
              ],
            },
          ],
          identifier: [{ ...brandIdentifier(baseUrls) }],
          active: true,
          name: settings.title,
          telecom: [{ system: 'url', value: website }],
          endpoint: [{ reference: 'Endpoint/fhir' }],
        },
      },
      {
        fullUrl: endpoint,
        resource: {
          resourceType: 'Endpoint',
          id: 'fhir',
          meta: { profile: ['http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-endpoint'] },
          extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version', valueCode: '4.0.1' }],
          status: 'active',
          connectionType: {
            system: 'http://terminology.hl7.org/CodeSystem/endpoint-connection-type',
            code: 'hl7-fhir-rest',
          },
          name: `FHIR R4 of ${settings.title}`,
          managingOrganization: { reference: 'Organization/brand' },
          contact: [{ system: 'url', value: website }],
          payloadType: [
            { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/endpoint-payload-type', code: 'none' }] },
          ],
          address: base,
        },
      },
    ],
  }
}
