/**
 * The structural check that every write passes: names, types, cardinalities, formats, bindings, references.
 *
 * https://hl7.org/fhir/R4/validation.html
 *
 * The tables of the definitions are interpreted in one pass over the tree. Everything that is wrong is reported at
 * once, with its place and what to do about it, and never with the value itself.
 */
import {
  Decimal,
  FhirError,
  type Issue,
  isObject,
  isResourceType,
  type Json,
  type JsonObject,
  parseReference,
  resourceTypes,
} from '../fhir/index.js'
import { hasConcept } from './bindings.js'
import { collect, type Findings } from './findings.js'
import { nearest } from './nearest.js'
import { type Row, type Shape, shapeOf } from './shape.js'

/** Levels of elements; JSON and XML readers allow fewer, so that only trees made by us can be deeper. */
const depthMax = 200

/** What is wrong with a resource's structure; empty for a valid one. */
export function structureIssues(resource: Json): Issue[] {
  return collect((findings) => new Structure(findings).resource(resource, 'root'))
}

/**
 * 400 where a resource fails "basic FHIR validation rules", 422 where only codes or invariants are violated.
 *
 * https://hl7.org/fhir/R4/http.html#create
 *
 * @throws FhirError
 */
export function refuseInvalid(resource: Json): void {
  const issues = structureIssues(resource)
  if (issues.length > 0) throw new FhirError(statusOf(issues), issues)
}

const statusOf = (issues: Issue[]): number =>
  issues.every(({ code }) => code === 'code-invalid' || code === 'invariant') ? 422 : 400

/** Makes the tables of these resource types and of all they are made of, so that the first check need not. */
export function warmUp(types: Iterable<string>): void {
  const seen = new Set<string>()
  const visit = (name: string) => {
    if (seen.has(name)) return
    seen.add(name)
    for (const row of shapeOf(name).rows.values()) if (row.content === 'complex') visit(row.type)
  }
  for (const type of types) if (isResourceType(type)) visit(type)
}

/** The resource that local references are resolved in, and its contained resources by id. */
type Container = { contained: Map<string, string>; inside: boolean }

class Structure {
  private container: Container = { contained: new Map(), inside: false }

  constructor(private readonly findings: Findings) {}

  resource(value: Json, where: 'root' | 'contained' | 'entry') {
    const { findings } = this
    if (!isObject(value))
      return findings.error('structure', `a resource is ${jsonNames.object}, not ${jsonName(value)}`)
    const { resourceType } = value
    if (typeof resourceType !== 'string')
      return findings.error('structure', 'the property resourceType is missing; name the type of the resource')
    if (!isResourceType(resourceType))
      return findings.error(
        'structure',
        `resourceType is no resource type of R4${suggestion(resourceType, resourceTypes)}`,
      )
    if (where === 'root') findings.enter(resourceType)
    if (where === 'contained') this.object(shapeOf(resourceType), value)
    else {
      const outer = this.container
      this.container = { contained: containedIn(value), inside: false }
      this.object(shapeOf(resourceType), value)
      this.container = outer
    }
    if (where === 'root') findings.leave()
  }

  private object(shape: Shape, object: JsonObject) {
    const { findings } = this
    if (findings.depth > depthMax) return findings.error('structure', 'the elements are nested too deeply')
    let seen = 0
    let repeated = 0
    let members = 0
    for (const key in object) {
      const value = object[key]
      if (value === undefined) continue
      const row = shape.rows.get(key)
      if (row === undefined) {
        if (key !== 'resourceType' || shape.kind !== 'resource') this.unknown(shape, key)
        else members++
        continue
      }
      if (row.element !== 'id') members++
      if (row.choice && seen & row.bit) repeated |= row.bit
      seen |= row.bit
      findings.enter(row.element)
      if (row.sibling) this.sibling(row, value, object[row.property])
      else if (row.many) this.list(row, value, object)
      else this.single(row, value)
      findings.leave()
    }
    if (members === 0) findings.error('structure', 'an element must have a value or children; leave it out (ele-1)')
    if ((seen & shape.required) !== shape.required) this.missing(shape, seen)
    if (repeated) this.severalChoices(shape, object, repeated)
    if (shape.name === 'Extension') this.extension(object)
  }

  private list(row: Row, value: Json, object: JsonObject) {
    const { findings } = this
    if (!Array.isArray(value))
      return findings.error('structure', `${row.property} may repeat; write it as an array, also for one value`)
    if (value.length === 0) return findings.error('structure', 'an empty array is not allowed; leave the property out')
    for (let i = 0; i < value.length; i++) {
      findings.enter(i)
      const item = value[i]!
      if (item === null && row.content === 'primitive') this.hole(row, object[`_${row.property}`], i)
      else this.value(row, item)
      findings.leave()
    }
  }

  /** A null in an array of primitives stands for a value that is not there but has extensions. */
  private hole(row: Row, siblings: Json | undefined, index: number) {
    if (!Array.isArray(siblings) || !isObject(siblings[index] ?? null))
      this.findings.error('structure', `null is allowed only where _${row.property} has extensions at the same place`)
  }

  private single(row: Row, value: Json) {
    if (Array.isArray(value))
      return this.findings.error('structure', `${row.property} may be there only once; write it without an array`)
    this.value(row, value)
  }

  private value(row: Row, value: Json) {
    if (row.content === 'primitive') this.primitive(row, value)
    else if (row.content === 'resource') this.nested(row, value)
    else this.complex(row, value)
  }

  private primitive(row: Row, value: Json) {
    const { findings } = this
    const rules = row.primitive!
    const json = typeof value
    if (json !== rules.json && !(rules.json === 'number' && value instanceof Decimal))
      return findings.error(
        'structure',
        `${row.property} (${row.type}) is ${jsonNames[rules.json]}, not ${jsonName(value)}`,
      )
    const problem = rules.problem(value)
    if (problem !== undefined) return findings.error('value', `${row.property}: ${problem}`)
    if (row.binding && !row.binding.hasCode(value as string))
      findings.error(
        'code-invalid',
        `${row.property}: the code is not in the required value set; use ${row.binding.choices}`,
      )
    if (row.type === 'canonical' && (value as string).startsWith('#')) this.fragment(value as string, undefined)
  }

  private complex(row: Row, value: Json) {
    const { findings } = this
    if (!isObject(value))
      return findings.error('structure', `${row.property} (${row.type}) is ${jsonNames.object}, not ${jsonName(value)}`)
    this.object(shapeOf(row.type), value)
    if (row.type === 'Reference') this.reference(row, value)
    else if (row.binding && !hasConcept(row.binding, value))
      findings.error(
        'code-invalid',
        `${row.property}: no coding is in the required value set; use ${row.binding.choices}`,
      )
  }

  /** Contained resources, resources of a Bundle's entries, resources of Parameters. */
  private nested(row: Row, value: Json) {
    if (row.element !== 'contained') return this.resource(value, 'entry')
    const { findings, container } = this
    if (container.inside)
      return findings.error(
        'structure',
        'a contained resource cannot contain others; move it up to the container (dom-2)',
      )
    container.inside = true
    this.resource(value, 'contained')
    container.inside = false
    if (!isObject(value)) return
    const { id } = value
    if (id === undefined) findings.error('required', 'a contained resource needs an id to be referred to')
    else if (typeof id === 'string' && container.contained.get(id) === severalTypes)
      findings.error('value', 'another contained resource has the same id; ids must be unique in the container')
  }

  private sibling(row: Row, value: Json, main: Json | undefined) {
    const { findings } = this
    if (!row.many) {
      if (Array.isArray(value) || !isObject(value))
        return findings.error('structure', `_${row.property} is an object with id or extension, not ${jsonName(value)}`)
      return this.attached(value, main !== undefined)
    }
    if (!Array.isArray(value))
      return findings.error('structure', `_${row.property} is an array, as long as ${row.property}`)
    if (value.length === 0) return findings.error('structure', 'an empty array is not allowed; leave the property out')
    if (Array.isArray(main) && main.length !== value.length)
      return findings.error('structure', `${row.property} and _${row.property} must be equally long; fill up with null`)
    for (let i = 0; i < value.length; i++) {
      const item = value[i]!
      const hasValue = Array.isArray(main) && main[i] !== null && main[i] !== undefined
      findings.enter(i)
      if (isObject(item)) this.attached(item, hasValue)
      else if (item !== null)
        findings.error('structure', `_${row.property} holds objects and null, not ${jsonName(item)}`)
      else if (!hasValue && !Array.isArray(main))
        findings.error('structure', `null is allowed only where ${row.property} has a value at the same place`)
      findings.leave()
    }
  }

  /** The id and extensions of a primitive; without a value, an id alone says nothing. */
  private attached(value: JsonObject, hasValue: boolean) {
    if (hasValue && 'id' in value && Object.keys(value).length === 1) {
      const id = shapeOf('Element').rows.get('id')!
      this.findings.enter('id')
      this.single(id, value['id']!)
      this.findings.leave()
    } else this.object(shapeOf('Element'), value)
  }

  /** https://hl7.org/fhir/R4/references.html#literal */
  private reference(row: Row, value: JsonObject) {
    const { reference, type } = value
    if (typeof reference !== 'string' || reference === '') return
    const { findings } = this
    findings.enter('reference')
    if (reference.startsWith('#')) this.fragment(reference, row.targets)
    else {
      const target = targetOf(reference)
      if (target === 'invalid')
        findings.error(
          'value',
          'a relative reference is Type/id or Type/id/_history/version; other references are absolute URLs',
        )
      else if (target !== undefined) {
        if (row.targets && !row.targets.has(target))
          findings.error('value', `${row.property} may refer to ${listed(row.targets)}, not to ${target}`)
        if (typeof type === 'string' && isResourceType(type) && type !== target)
          findings.error('value', `the reference is to ${target}, but its type says ${type}`)
      }
    }
    findings.leave()
  }

  /** A reference to a contained resource (`#id`), or from one to its container (`#`). */
  private fragment(reference: string, targets: ReadonlySet<string> | undefined) {
    const { findings, container } = this
    if (reference === '#') {
      if (!container.inside) findings.error('value', '"#" refers to the container and is for contained resources only')
      return
    }
    const type = container.contained.get(reference.slice(1))
    if (type === undefined)
      findings.error('value', 'no contained resource has the id this reference names; add it to contained (ref-1)')
    else if (targets && isResourceType(type) && !targets.has(type))
      findings.error('value', `the reference may be to ${listed(targets)}, not to a contained ${type}`)
  }

  private extension(object: JsonObject): void {
    let values = 0
    for (const key in object) if (key.startsWith('value') || key.startsWith('_value')) values++
    if (object['extension'] === undefined ? values === 0 : values > 0)
      this.findings.error(
        'structure',
        'an extension has either a value[x] or nested extensions, and one of the two (ext-1)',
      )
  }

  private unknown(shape: Shape, key: string): void {
    const name = /^\w{1,64}$/.test(key) ? `"${key}"` : 'a property'
    this.findings.error('structure', `${name} is no property of ${shape.name}${suggestion(key, shape.rows.keys())}`)
  }

  private missing(shape: Shape, seen: number): void {
    for (const { name, bit } of shape.requiredElements) {
      if (seen & bit) continue
      this.findings.enter(name)
      this.findings.error('required', `${shape.name}.${name} is required; add it`)
      this.findings.leave()
    }
  }

  /** Several properties of one value[x]; `valueString` with `_valueString` is one of them. */
  private severalChoices(shape: Shape, object: JsonObject, repeated: number): void {
    const found = new Map<string, Set<string>>()
    for (const key in object) {
      const row = shape.rows.get(key)
      if (!row || !(row.bit & repeated) || object[key] === undefined) continue
      found.set(row.element, (found.get(row.element) ?? new Set()).add(row.property))
    }
    for (const [element, properties] of found) {
      if (properties.size < 2) continue
      this.findings.enter(element)
      this.findings.error('structure', `only one of ${[...properties].join(', ')} may be there; choose one`)
      this.findings.leave()
    }
  }
}

const severalTypes = '*'

const typeNameOf = ({ resourceType }: JsonObject): string => (typeof resourceType === 'string' ? resourceType : '')

/** The contained resources by id; an id that is there twice is marked by no type. */
function containedIn({ contained }: JsonObject): Map<string, string> {
  const found = new Map<string, string>()
  if (Array.isArray(contained))
    for (const each of contained)
      if (isObject(each) && typeof each['id'] === 'string')
        found.set(each['id'], found.has(each['id']) ? severalTypes : typeNameOf(each))
  return found
}

/** The type a literal reference is to; undefined where the text does not tell, 'invalid' if it is no reference. */
function targetOf(reference: string): string | undefined {
  if (reference.startsWith('urn:')) return undefined
  const literal = parseReference(reference)
  if (literal) return literal.type
  if (/\s/.test(reference)) return 'invalid'
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(reference)) return undefined
  const query = reference.indexOf('?')
  const type = query < 0 ? '' : reference.slice(0, query)
  return isResourceType(type) ? type : 'invalid'
}

const listed = (targets: ReadonlySet<string>): string => [...targets].join(' | ')

function suggestion(name: string, names: Iterable<string>): string {
  const near = nearest(name, names)
  return near === undefined ? '; remove it' : `; did you mean "${near}"?`
}

const jsonNames = {
  string: 'a JSON string',
  number: 'a JSON number',
  boolean: 'true or false',
  object: 'a JSON object',
}

function jsonName(value: Json): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Decimal) return jsonNames.number
  return typeof value === 'boolean' ? 'a boolean' : jsonNames[typeof value as 'string' | 'number' | 'object']
}
