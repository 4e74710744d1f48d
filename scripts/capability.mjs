/**
 * Writes capability/statement.json: what this server promises, whatever it happens to do.
 *
 * https://hl7.org/fhir/R4/capabilitystatement.html
 *
 * The promise is the whole of R4: every type, every search parameter of the definitions, every interaction. It is made by
 * `node scripts/capability.mjs`, read by people before it is committed, and kept by `capability/statement.test.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs'

const table = (name) => JSON.parse(readFileSync(new URL(`../profiles/r4/${name}.json`, import.meta.url), 'utf8'))
/** A parameter without an expression does not say what it searches: Patient-age, for example, has none. */
const searchParameters = table('search-parameters').filter(({ expression, type }) => expression || type === 'special')
const definitions = table('operations')
const types = Object.entries(table('types'))
  .filter(([, { kind, abstract }]) => kind === 'resource' && !abstract)
  .map(([name]) => name)
  .sort()

/** The operations we promise, by the id of their definition. */
const operations = [
  'Patient-everything',
  'Group-everything',
  'Encounter-everything',
  'Resource-validate',
  'Observation-lastn',
  'Resource-meta',
  'Resource-meta-add',
  'Resource-meta-delete',
  'Composition-document',
  'Resource-convert',
].map((id) => definitions.find(({ url }) => url === `http://hl7.org/fhir/OperationDefinition/${id}`))

const everywhere = searchParameters.filter(({ base }) => base.includes('Resource') || base.includes('DomainResource'))

/** Search parameters the specification describes in words instead of an expression. */
const inWords = [
  { name: '_content', definition: 'http://hl7.org/fhir/SearchParameter/Resource-content', type: 'string' },
  { name: '_text', definition: 'http://hl7.org/fhir/SearchParameter/DomainResource-text', type: 'string' },
  { name: '_has', type: 'string' },
  { name: '_list', type: 'string' },
  { name: '_type', type: 'token' },
]

const statement = {
  resourceType: 'CapabilityStatement',
  id: 'hospitallink',
  url: 'https://hospitallink.example/fhir/CapabilityStatement/hospitallink',
  name: 'HospitalLink',
  title: 'What a hospitallink server does',
  status: 'active',
  date: '2025-01-01',
  publisher: 'hospitallink',
  description:
    'Every resource type of R4 with every interaction and search parameter. A server may do more; it never does less.',
  kind: 'requirements',
  fhirVersion: '4.0.1',
  format: ['json', 'xml'],
  patchFormat: ['application/json-patch+json', 'application/fhir+json', 'application/fhir+xml'],
  rest: [
    {
      mode: 'server',
      documentation: 'https://hl7.org/fhir/R4/http.html',
      resource: types.map(resource),
      interaction: codes('transaction', 'batch', 'search-system', 'history-system'),
      searchParam: [...everywhere.map(searchParam), ...inWords].sort((a, b) => (a.name < b.name ? -1 : 1)),
      operation: operations.filter(({ system }) => system).map(operation),
      compartment: ['Device', 'Encounter', 'Patient', 'Practitioner', 'RelatedPerson'].map(
        (type) => `http://hl7.org/fhir/CompartmentDefinition/${type.toLowerCase()}`,
      ),
    },
  ],
}

/** AuditEvents are added and never changed. */
function auditEvent() {
  return {
    interaction: codes('create', 'read', 'vread', 'history-instance', 'search-type'),
    versioning: 'versioned',
    updateCreate: false,
    conditionalCreate: false,
    conditionalUpdate: false,
    conditionalDelete: 'not-supported',
  }
}

function resource(type) {
  const params = searchParameters.filter(({ base }) => base.includes(type))
  const own = operations.filter(
    (each) => (each.type || each.instance) && (each.resource.includes(type) || each.resource.includes('Resource')),
  )
  return {
    type,
    interaction: codes(
      'create',
      'read',
      'vread',
      'update',
      'patch',
      'delete',
      'history-instance',
      'history-type',
      'search-type',
    ),
    versioning: 'versioned-update',
    readHistory: true,
    updateCreate: true,
    conditionalCreate: true,
    conditionalRead: 'full-support',
    conditionalUpdate: true,
    conditionalDelete: 'multiple',
    ...(type === 'AuditEvent' && auditEvent()),
    referencePolicy: ['literal', 'logical', 'enforced', 'local'],
    ...(params.length && { searchParam: params.map(searchParam) }),
    ...(own.length && { operation: own.map(operation) }),
  }
}

function codes(...interactions) {
  return interactions.map((code) => ({ code }))
}

function searchParam({ code, url, type }) {
  return { name: code, definition: url, type }
}

function operation({ code, url }) {
  return { name: code, definition: url }
}

/** One line a type, so that a change can be read in a diff. */
const [rest] = statement.rest
const { resource: resources, ...others } = rest
const text = JSON.stringify({ ...statement, rest: [{ ...others, resource: ['TYPES'] }] }, null, 1).replace(
  '"TYPES"',
  resources.map((each) => JSON.stringify(each)).join(',\n'),
)
writeFileSync(new URL('../capability/statement.json', import.meta.url), `${text}\n`)
