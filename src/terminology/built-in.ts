/**
 * The code systems, value sets and concept maps that come with the server: HL7's of R4, and the HIV lists of ours.
 *
 * https://hl7.org/fhir/R4/terminologies-systems.html
 *
 * R4's lie in deflated blocks of which one at a time is read when something of it is asked for (scripts/definitions.mjs),
 * so that they cost neither start-up nor memory. What was read last is kept.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'
import type { Resource } from '../fhir/index.js'
import { Recent } from './recent.js'
import type { CanonicalType } from './terminology.js'

type Place = [offset: number, size: number, start: number, length: number]

const r4 = new URL('../../profiles/r4/', import.meta.url)
const hiv = new URL('../../profiles/hiv/', import.meta.url)

/** Bytes of the resources that are kept parsed. */
const kept = new Recent<Resource>(8 * 1024 * 1024)

let index: Record<string, Place> | undefined
let ours: Map<string, Resource> | undefined

/** The resource with the canonical (perhaps with `|version`), undefined where it is not one of these. */
export function builtIn(canonical: string, type: CanonicalType): Resource | undefined {
  const [url = '', version] = canonical.split('|')
  const key = `${type} ${url}`
  ours ??= readOurs()
  const found = ours.get(key) ?? kept.get(key) ?? readR4(key)
  return found && (version === undefined || version === found['version']) ? found : undefined
}

/** The URLs of all that come with the server. */
export function builtInUrls(type: CanonicalType): string[] {
  index ??= readIndex()
  ours ??= readOurs()
  const prefix = `${type} `
  const keys = new Set([...Object.keys(index), ...ours.keys()])
  return [...keys].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
}

const readIndex = (): Record<string, Place> =>
  JSON.parse(readFileSync(new URL('terminology.json', r4), 'utf8')) as Record<string, Place>

function readR4(key: string): Resource | undefined {
  index ??= readIndex()
  if (!Object.hasOwn(index, key)) return undefined
  const [offset, size, start, length] = index[key]!
  const block = Buffer.alloc(size)
  const file = openSync(new URL('terminology.bin', r4), 'r')
  try {
    readSync(file, block, 0, size, offset)
  } finally {
    closeSync(file)
  }
  const text = inflateRawSync(block).toString('utf8', start, start + length)
  const resource = JSON.parse(text) as Resource
  kept.set(key, resource, length)
  return resource
}

/** Small enough to be read at once. */
function readOurs(): Map<string, Resource> {
  const names = existsSync(hiv) ? readdirSync(hiv) : []
  const resources = names
    .filter((name) => /^(CodeSystem|ValueSet|ConceptMap)-.*\.json$/.test(name))
    .map((name) => JSON.parse(readFileSync(new URL(name, hiv), 'utf8')) as Resource)
  return new Map(resources.map((resource) => [`${resource.resourceType} ${String(resource['url'])}`, resource]))
}
