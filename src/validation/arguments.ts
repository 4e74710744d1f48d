/**
 * Whether what an operation is given is what its OperationDefinition takes: names, how often, and of which type.
 *
 * https://hl7.org/fhir/R4/operations.html#request
 *
 * The definition becomes a JSON Schema of the arguments grouped by name, which ajv compiles once and reports all
 * violations of. The values themselves are checked by structureIssues, as in any resource.
 */
import { createRequire } from 'node:module'
import type { Ajv, ErrorObject, SchemaObject, ValidateFunction } from 'ajv'
import {
  type Issue,
  isObject,
  isResourceType,
  type JsonObject,
  type OperationDefinition,
  type OperationParameter,
  type Resource,
} from '../fhir/index.js'
import { issuesMax } from './findings.js'
import { nearest } from './nearest.js'
import { primitive } from './primitives.js'

/** `query` are the parameters of the URL that are the operation's, `input` a Parameters resource. */
export type Arguments = { query?: readonly [name: string, value: string][]; input?: Resource }

/** What is wrong with the arguments of an operation; empty if nothing is. */
export function argumentIssues(operation: OperationDefinition, { query = [], input }: Arguments): Issue[] {
  const given = [...argumentsIn(input?.['parameter'], 'Parameters.parameter'), ...query.map(ofQuery)]
  if (given.length === 0 && !operation.parameter.some(({ use, min }) => use === 'in' && min > 0)) return []
  const validate = validatorOf(operation)
  if (validate(byName(given))) return []
  return (validate.errors ?? []).slice(0, issuesMax).map(issueOf)
}

/** `at` is the place it came from; `type` that of its value[x], `resource` that of its resource. */
type Argument = { name: string; at: string; type?: string; resource?: string; part?: ByName }
type ByName = { [name: string]: Argument[] }

/** The type of an argument in the URL: text that stands for any primitive. */
const QUERY = 'query'
const ofQuery = ([name]: readonly [string, string]): Argument => ({ name, at: name, type: QUERY })

function argumentsIn(list: unknown, place: string): Argument[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((parameter, i) => {
    if (!isObject(parameter) || typeof parameter['name'] !== 'string') return []
    const at = `${place}[${i}]`
    return [{ name: parameter['name'], at, ...contentOf(parameter, at) }]
  })
}

function contentOf(parameter: JsonObject, at: string): Partial<Argument> {
  const { resource, part } = parameter
  if (isObject(resource)) return { resource: String(resource['resourceType']) }
  if (part !== undefined) return { part: byName(argumentsIn(part, `${at}.part`)) }
  const suffix = Object.keys(parameter).flatMap((key) => /^_?value([A-Z]\w*)$/.exec(key)?.[1] ?? [])[0]
  if (suffix === undefined) return {}
  const lower = suffix[0]!.toLowerCase() + suffix.slice(1)
  return { type: primitive(lower) ? lower : suffix }
}

function byName(given: Argument[]): ByName {
  // Names come from outside; an object without a prototype has no name that means something already.
  const grouped: ByName = Object.create(null)
  for (const argument of given) {
    grouped[argument.name] ??= []
    grouped[argument.name]!.push(argument)
  }
  return grouped
}

let loaded: Ajv | undefined

/** Loading takes some 50 ms, which a server that starts need not spend. */
function ajv(): Ajv {
  if (!loaded) {
    const library: typeof import('ajv') = createRequire(import.meta.url)('ajv')
    loaded = new library.Ajv({ allErrors: true, verbose: true })
    loaded.addKeyword({ keyword: 'takes', schemaType: 'string', validate: fits, errors: false })
  }
  return loaded
}

/** Clients write a code as valueString and a canonical as valueUri: any primitive of the same JSON type will do. */
function fits(taken: string, { type, resource, part }: Argument): boolean {
  if (taken === 'part') return part !== undefined
  if (taken === 'Resource') return resource !== undefined
  if (isResourceType(taken)) return resource === taken
  if (type === undefined || taken === 'Element' || type === taken) return type !== undefined
  return primitive(taken) !== undefined && (type === QUERY || primitive(type)?.json === primitive(taken)!.json)
}

const validators = new WeakMap<OperationDefinition, ValidateFunction>()

function validatorOf(operation: OperationDefinition): ValidateFunction {
  let validator = validators.get(operation)
  if (!validator) {
    validator = ajv().compile(schemaOf(operation.parameter.filter(({ use }) => use === 'in')))
    validators.set(operation, validator)
  }
  return validator
}

const schemaOf = (parameters: OperationParameter[]): SchemaObject => ({
  type: 'object',
  properties: Object.fromEntries(parameters.map((parameter) => [parameter.name, listSchemaOf(parameter)])),
  required: parameters.filter(({ min }) => min > 0).map(({ name }) => name),
  additionalProperties: false,
})

const listSchemaOf = ({ max, type = 'Element', part }: OperationParameter): SchemaObject => ({
  type: 'array',
  ...(max !== '*' && { maxItems: Number(max) }),
  items: part
    ? { type: 'object', takes: 'part', properties: { part: schemaOf(part) } }
    : { type: 'object', takes: type },
})

function issueOf({ keyword, params, data, schema, parentSchema }: ErrorObject): Issue {
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty'])
      const known = Object.keys(parentSchema!['properties'])
      const near = nearest(name, known)
      const hint = near ? `did you mean "${near}"?` : known.length ? `it has ${known.join(', ')}` : 'it takes none'
      const shown = /^[\w-]{1,64}$/.test(name) ? `"${name}"` : 'of this name'
      return issue('not-supported', `the operation has no parameter ${shown}; ${hint}`, (data as ByName)[name]![0])
    }
    case 'required':
      return issue('required', `the operation needs the parameter "${params['missingProperty']}"; add it`)
    case 'maxItems': {
      const tooMany = (data as Argument[])[Number(schema)]!
      return issue('structure', `the parameter "${tooMany.name}" may be given only once; leave the others out`, tooMany)
    }
    default: {
      const argument = data as Argument
      const what = schema === 'part' ? 'parts' : schema === 'Element' ? 'a value' : String(schema)
      return issue('structure', `the parameter "${argument.name}" takes ${what}; give it that`, argument)
    }
  }
}

const issue = (code: Issue['code'], diagnostics: string, argument?: Argument): Issue => ({
  severity: 'error',
  code,
  diagnostics,
  ...(argument && { expression: [argument.at] }),
})
