/**
 * JSON Patch: changes to a resource as a list of operations on its JSON.
 *
 * https://hl7.org/fhir/R4/http.html#patch, https://www.rfc-editor.org/rfc/rfc6902
 *
 * The tree that is given stays as it is; what changes is copied. Operations that are not written as RFC 6902 says are
 * 400, those that do not fit the resource (no such element, a test that fails) 422: the resource may have moved on.
 */
import { Decimal, depthMax, type Json, type JsonObject } from './json.js'
import { type FhirError, invalid, tooCostly, unprocessable } from './outcome.js'
import { isObject, type Resource } from './resource.js'
import { depthOf } from './tree.js'

/** More than any client has been seen to send; what many operations cost together stays bounded. */
export const patchOperationsMax = 1000

/** The characters that all copy operations of one patch may add together: copies of copies double each time. */
const copiedMax = 4 * 1024 * 1024

/**
 * The resource after the operations.
 *
 * @param operations the parsed body
 * @throws FhirError invalid for a malformed patch, unprocessable for one that does not fit, with `operations[i]`
 */
export function applyJsonPatch(resource: Resource, operations: unknown): Resource {
  if (!Array.isArray(operations)) throw invalid('a JSON Patch is a list of operations')
  if (operations.length > patchOperationsMax)
    throw tooCostly(`a patch may have at most ${patchOperationsMax} operations; send the whole resource instead`)
  const document = new Document(resource)
  for (let i = 0; i < operations.length; i++) document.apply(operations[i] as Json, `operations[${i}]`)
  const { root } = document
  if (!isObject(root) || typeof root['resourceType'] !== 'string')
    throw unprocessable('what the patch leaves is not a resource')
  return root as Resource
}

class Document {
  root: Json
  /** The containers that are copies already, and may be changed in place. */
  private readonly own = new Set<Json>()
  private copied = 0

  constructor(resource: Resource) {
    this.root = resource
  }

  apply(operation: Json, place: string): void {
    if (!isObject(operation)) throw invalid('an operation is an object', place)
    const path = pointer(operation, 'path', place)
    const { op } = operation
    switch (op) {
      case 'add':
        this.add(path, operand(operation, place), place)
        break
      case 'remove':
        this.remove(path, place)
        break
      case 'replace':
        this.replace(path, operand(operation, place), place)
        break
      case 'move': {
        const from = pointer(operation, 'from', place)
        if (from.length < path.length && from.every((token, i) => token === path[i]))
          throw invalid('a value cannot be moved into itself', place)
        this.add(path, this.remove(from, place), place)
        break
      }
      case 'copy': {
        const value = this.get(pointer(operation, 'from', place), place)
        this.add(path, this.copy(value, place), place)
        break
      }
      case 'test':
        if (!equals(this.get(path, place), operand(operation, place)))
          throw unprocessable('the value is not the one the test expects; read the resource again', place)
        break
      default:
        throw invalid('"op" must be add, remove, replace, move, copy or test', place)
    }
  }

  private get(path: string[], place: string): Json {
    let value: Json = this.root
    for (const token of path) value = member(value, token, place)
    return value
  }

  private add(path: string[], value: Json, place: string): void {
    if (path.length + depthOf(value) > depthMax) throw unprocessable(`more than ${depthMax} levels`, place)
    if (path.length === 0) {
      this.root = value
      return
    }
    const parent = this.container(path, place)
    const last = path.at(-1)!
    if (Array.isArray(parent)) {
      const index = last === '-' ? parent.length : indexOf(last)
      if (index === undefined || index > parent.length) throw missing(place)
      parent.splice(index, 0, value)
    } else {
      if (last === '__proto__') throw invalid('a property may not be called __proto__', place)
      parent[last] = value
    }
  }

  private remove(path: string[], place: string): Json {
    if (path.length === 0) throw unprocessable('the whole resource cannot be removed; delete it instead', place)
    const parent = this.container(path, place)
    const last = path.at(-1)!
    const value = member(parent, last, place)
    if (Array.isArray(parent)) parent.splice(indexOf(last)!, 1)
    else delete parent[last]
    return value
  }

  /** In place of the old value, so that the order of properties stays. */
  private replace(path: string[], value: Json, place: string): void {
    if (path.length > 0) member(this.container(path, place), path.at(-1)!, place)
    if (path.length + depthOf(value) > depthMax) throw unprocessable(`more than ${depthMax} levels`, place)
    if (path.length === 0) this.root = value
    else {
      const parent = this.container(path, place)
      if (Array.isArray(parent)) parent[indexOf(path.at(-1)!)!] = value
      else parent[path.at(-1)!] = value
    }
  }

  /** The object or list that holds the last token of the path, made our own all the way down to it. */
  private container(path: string[], place: string): JsonObject | Json[] {
    this.root = this.owned(this.root, place)
    let container = this.root as JsonObject | Json[]
    for (const token of path.slice(0, -1)) {
      const next = this.owned(member(container, token, place), place)
      if (Array.isArray(container)) container[indexOf(token)!] = next
      else container[token] = next
      container = next
    }
    return container
  }

  private owned(value: Json, place: string): JsonObject | Json[] {
    if (!Array.isArray(value) && !isObject(value)) throw missing(place)
    if (this.own.has(value)) return value
    const copy = Array.isArray(value) ? [...value] : { ...value }
    this.own.add(copy)
    return copy
  }

  private copy(value: Json, place: string): Json {
    this.copied += typeof value === 'string' ? value.length : 1
    if (this.copied > copiedMax) throw tooCostly('the copies of this patch are too large', place)
    if (Array.isArray(value)) return value.map((item) => this.copy(item, place))
    if (!isObject(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.copy(item, place)]))
  }
}

function pointer(operation: JsonObject, name: 'path' | 'from', place: string): string[] {
  const text = operation[name]
  if (typeof text !== 'string') throw invalid(`"${name}" must be a JSON Pointer`, place)
  if (text === '') return []
  if (!text.startsWith('/')) throw invalid(`"${name}" must be empty or start with "/"`, place)
  if (/~(?![01])/.test(text)) throw invalid(`in "${name}", "~" must be written ~0 and "/" ~1`, place)
  const tokens = text.slice(1).split('/')
  if (tokens.length > depthMax) throw unprocessable(`more than ${depthMax} levels`, place)
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function operand(operation: JsonObject, place: string): Json {
  const { value } = operation
  if (value === undefined) throw invalid('"value" is missing', place)
  return value
}

function member(container: Json, token: string, place: string): Json {
  if (Array.isArray(container)) {
    const index = indexOf(token)
    if (index === undefined || index >= container.length) throw missing(place)
    return container[index]!
  }
  if (!isObject(container) || !Object.hasOwn(container, token)) throw missing(place)
  return container[token]!
}

const indexPattern = /^(?:0|[1-9][0-9]{0,9})$/
const indexOf = (token: string): number | undefined => (indexPattern.test(token) ? Number(token) : undefined)

const missing = (place: string): FhirError =>
  unprocessable('the resource has nothing at this path; read it again', place)

/** Whether two values are equal as RFC 6902 4.6 says: numbers by value, objects without regard to order. */
function equals(a: Json, b: Json): boolean {
  if (isNumber(a) && isNumber(b)) return a === b || canonicalNumber(String(a)) === canonicalNumber(String(b))
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equals(item, b[i]!))
  if (!isObject(a) || !isObject(b)) return a === b
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equals(a[key]!, b[key]!))
}

const isNumber = (value: Json): value is number | Decimal => typeof value === 'number' || value instanceof Decimal

/** Equal numbers have equal texts: `1.50e1` and `15` are both `15e0`. */
function canonicalNumber(text: string): string {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text)!
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  if (significant === '') return '0'
  return `${sign}${significant}e${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length)}`
}
