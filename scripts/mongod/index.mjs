/**
 * Indexes: which keys a document has in one, and which specifications are accepted.
 *
 * https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
 */
import { encode, field, isPlain, numberOf, typeName } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { parseFilter } from './filter.mjs'
import { EMPTY_ARRAY_KEY, inverted, keyOf, NULL_KEY } from './keys.mjs'
import { matcher } from './match.mjs'
import { isPosition, partsOf } from './paths.mjs'
import { Tree } from './tree.mjs'

/**
 * The keys of a document for a list of fields, each as one string.
 * @param {object} document
 * @param {{ parts: string[], down: boolean }[]} fields
 * @param {{ complaint?: string, code?: number, onArray?: (field: number, prefix: string) => void }} [rules] what to say
 *   where two fields are arrays side by side, and who is told of every array on a field's path
 * @returns {string[]} each once
 */
export function keysOf(document, fields, rules = {}) {
  const out = []
  expand(
    fields,
    fields.map(() => ({ within: document, at: 0 })),
    out,
    rules,
  )
  return out.length < 2 ? out : [...new Set(out)]
}

/**
 * Takes every field as far as the first array; where there is one, each of its elements gives keys of its own.
 * @param {(string | { within: object, at: number })[]} places a finished key, or where the rest of the path begins
 */
function expand(fields, places, out, rules) {
  let array
  let first
  const through = []
  for (let i = 0; i < fields.length; i++) {
    if (typeof places[i] === 'string') continue
    const { parts, down } = fields[i]
    let { within: value, at } = places[i]
    do {
      value = field(value, parts[at])
      at++
    } while (at < parts.length && isPlain(value))
    if (!Array.isArray(value)) {
      places[i] = component(at < parts.length ? undefined : value, down)
      continue
    }
    rules.onArray?.(i, parts.slice(0, at).join('.'))
    if (array === undefined) {
      array = value
      first = parts[at - 1]
    } else if (array !== value)
      refuse(rules.code ?? 171, rules.complaint ?? `cannot index parallel arrays [${parts[at - 1]}] [${first}]`)
    if (isPosition(parts[at])) unsupported('index keys that name a place in an array')
    through.push({ i, at })
  }
  if (array === undefined) {
    out.push(places.join(''))
    return
  }
  if (array.length === 0) {
    const inner = places.slice()
    for (const { i, at } of through) {
      const key = at === fields[i].parts.length ? EMPTY_ARRAY_KEY : NULL_KEY
      inner[i] = fields[i].down ? inverted(key) : key
    }
    out.push(inner.join(''))
    return
  }
  for (const element of array) {
    const inner = places.slice()
    for (const { i, at } of through) {
      const { parts, down } = fields[i]
      if (at === parts.length) inner[i] = component(element, down)
      else inner[i] = isPlain(element) ? { within: element, at } : component(undefined, down)
    }
    expand(fields, inner, out, rules)
  }
}

function component(value, down) {
  const key = keyOf(value)
  return down ? inverted(key) : key
}

const PLUGINS = new Set(['hashed', 'text', '2d', '2dsphere', 'geoHaystack'])
const OPTIONS = new Set([
  'v',
  'key',
  'name',
  'unique',
  'sparse',
  'background',
  'expireAfterSeconds',
  'partialFilterExpression',
  'hidden',
  'collation',
  'wildcardProjection',
  'storageEngine',
])

/** A specification as it is stored and listed, or an error that says what is wrong with it. */
export function checkedSpecification(given) {
  const wrong = (text) => refuse(67, `Error in specification { name: "${given.name}" } :: caused by :: ${text}`)
  for (const option of Object.keys(given))
    if (!OPTIONS.has(option))
      refuse(
        197,
        `Error in specification :: caused by :: The field '${option}' is not valid for an index specification.`,
      )
  if (!isPlain(given.key)) refuse(9, "The 'key' field is a required property of an index specification")
  const fields = Object.entries(given.key)
  if (fields.length === 0) wrong('Index keys cannot be empty.')
  if (fields.length > 32) refuse(13103, 'too many compound keys')
  for (const [path, direction] of fields) {
    if (path === '') wrong('Index keys cannot be an empty field.')
    if (path.split('.').some((part) => part === '')) wrong('Index key contains an empty field name.')
    if (typeof direction === 'string') {
      if (!PLUGINS.has(direction)) wrong(`Unknown index plugin '${direction}'`)
      if (direction !== 'hashed') unsupported(`${direction} indexes`)
      continue
    }
    const number = numberOf(direction)
    if (number === undefined) wrong(`Values in v:2 index key pattern cannot be of type ${typeName(direction)}.`)
    if (number === 0 || Number.isNaN(number)) wrong('Values in the index key pattern cannot be 0.')
  }
  if (typeof given.name !== 'string' || given.name === '')
    refuse(9, "The 'name' field is a required property of an index specification")
  if (given.collation !== undefined && given.collation?.locale !== 'simple') unsupported('indexes with a collation')
  const specification = { v: 2, key: given.key, name: given.name }
  if (given.unique && isTrue(given.unique)) specification.unique = true
  if (given.sparse && isTrue(given.sparse)) specification.sparse = true
  if (given.hidden && isTrue(given.hidden)) specification.hidden = true
  if (given.expireAfterSeconds !== undefined) {
    if (fields.length > 1) wrong('TTL indexes are single-field indexes, compound indexes do not support TTL.')
    const seconds = numberOf(given.expireAfterSeconds)
    if (seconds === undefined || seconds < 0) wrong('TTL index requires a number of seconds')
    specification.expireAfterSeconds = given.expireAfterSeconds
  }
  if (given.partialFilterExpression !== undefined) {
    if (specification.sparse) wrong('cannot mix "partialFilterExpression" and "sparse" options')
    const node = parseFilter(given.partialFilterExpression)
    const bad = unfit(node)
    if (bad) wrong(`unsupported expression in partial index: ${bad}`)
    specification.partialFilterExpression = given.partialFilterExpression
  }
  return specification
}

const isTrue = (value) => (typeof value === 'boolean' ? value : numberOf(value) !== 0)

/** What a partial index's filter may not hold. */
function unfit(node) {
  switch (node.op) {
    case 'and':
    case 'or':
      return node.of.map(unfit).find(Boolean)
    case 'in':
    case 'exists':
    case 'type':
      return undefined
    default:
      return `$${node.op}`
  }
}

/** One index of a collection. Its entries are keys followed by the record's number. */
export class Index {
  constructor(specification, tree = new Tree(), shared = { arrays: new Map(), ready: true }) {
    this.specification = specification
    this.name = specification.name
    this.tree = tree
    /** what all snapshots of the index know together: where arrays were seen (never forgotten, as in MongoDB) */
    this.shared = shared
    this.unique = specification.unique === true || specification.name === '_id_'
    const entries = Object.entries(specification.key)
    /** hashed and wildcard indexes are listed, and never used */
    this.ordered = entries.every(([path, direction]) => typeof direction !== 'string' && !path.includes('$**'))
    this.fields = entries.map(([path, direction]) => ({ path, parts: partsOf(path), down: numberOf(direction) < 0 }))
    this.filter = specification.partialFilterExpression && parseFilter(specification.partialFilterExpression)
    this.covers = this.filter ? matcher(this.filter) : undefined
    this.rules = {
      onArray: (i, prefix) => {
        const seen = this.shared.arrays.get(i)
        if (!seen) this.shared.arrays.set(i, new Set([prefix]))
        else seen.add(prefix)
      },
    }
  }

  clone() {
    const copy = Object.create(Index.prototype)
    return Object.assign(copy, this, { tree: this.tree.clone() })
  }

  /** The shortest array on the path of a field, if one was ever seen. */
  arrayOn(i) {
    const seen = this.shared.arrays.get(i)
    if (!seen) return undefined
    let shortest
    for (const prefix of seen) if (shortest === undefined || prefix.length < shortest.length) shortest = prefix
    return shortest
  }

  get multikey() {
    return this.shared.arrays.size > 0
  }

  /** The document's keys in this index; none where the index leaves it out. */
  keys(document) {
    if (!this.ordered) return []
    if (this.covers && !this.covers(document)) return []
    if (this.specification.sparse && this.fields.every(({ parts }) => isAbsent(document, parts))) return []
    return keysOf(document, this.fields, this.rules)
  }

  /** The members of a key by name, for the error of a unique index. */
  valuesOf(document, key) {
    // The key that collided is found again among the document's own, so that the error shows the document's values.
    const values = {}
    for (const candidate of tuplesOf(document, this.fields)) {
      if (candidate.map((value, i) => component(value, this.fields[i].down)).join('') !== key) continue
      for (let i = 0; i < this.fields.length; i++) values[this.fields[i].path] = candidate[i] ?? null
      return values
    }
    return values
  }
}

function isAbsent(container, parts) {
  let value = container
  for (const [at, part] of parts.entries()) {
    if (Array.isArray(value)) return value.every((element) => !isPlain(element) || isAbsent(element, parts.slice(at)))
    if (at > 0 && !isPlain(value)) return true
    value = field(value, part)
    if (value === undefined) return true
  }
  return false
}

/** All combinations of values at the fields' paths: enough to find one key again. */
function tuplesOf(document, fields) {
  const options = fields.map(({ parts }) => valuesAt(document, parts))
  return options.reduce((tuples, values) => tuples.flatMap((tuple) => values.map((value) => [...tuple, value])), [[]])
}

function valuesAt(container, parts) {
  let values = [container]
  for (const [at, part] of parts.entries()) {
    values = values.flatMap((value) => {
      const inner = at > 0 && !isPlain(value) ? undefined : field(value, part)
      return Array.isArray(inner) ? (inner.length > 0 ? inner : [undefined]) : [inner]
    })
  }
  return values
}

/** Whether two specifications ask for the same thing under the same name. */
export const sameSpecification = (a, b) => Buffer.compare(encode(normal(a)), encode(normal(b))) === 0
const normal = ({ name, key, ...options }) => ({
  name,
  key: Object.fromEntries(Object.entries(key).map(([path, way]) => [path, numberOf(way) ?? way])),
  options: Object.fromEntries(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))),
})
