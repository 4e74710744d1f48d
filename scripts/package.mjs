/**
 * Builds the FHIR package of profiles/hiv: its resources with generated snapshots, and its examples.
 *
 * https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
 *
 * Run with `npm run package [FILE]`; the file is hospitallink.hiv.tgz unless named.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { builtIn } from '../src/fhir/index.js'
import { packed } from '../src/package-archive.js'
import { withSnapshot } from '../src/validation/index.js'

const folder = new URL('../profiles/hiv/', import.meta.url)
const file = process.argv[2] ?? 'hospitallink.hiv.tgz'
const { version, license } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

const jsonIn = (path) =>
  readdirSync(new URL(path, folder))
    .filter((name) => name.endsWith('.json'))
    .sort()
const read = (path) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'))

/** The profiles a profile is derived from, the nearest first. */
function basesOf({ baseDefinition }) {
  const base = builtIn(baseDefinition ?? '', 'StructureDefinition')
  return base ? [base, ...basesOf(base)] : []
}

const resources = jsonIn('.').map((name) => {
  const resource = read(name)
  return {
    name,
    resource: resource.resourceType === 'StructureDefinition' ? withSnapshot(resource, basesOf(resource)) : resource,
  }
})
const manifest = {
  name: 'hospitallink.hiv',
  version,
  description: 'Profiles for sharing the records of people living with HIV',
  author: 'hospitallink',
  license,
  fhirVersions: ['4.0.1'],
  dependencies: { 'hl7.fhir.r4.core': '4.0.1' },
}
const index = {
  'index-version': 1,
  files: resources.map(({ name: filename, resource }) => {
    const { resourceType, id, url, version, kind, type } = resource
    return { filename, resourceType, id, url, version, kind, type }
  }),
}
const text = (value) => Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`)
const files = [
  { name: 'package/package.json', content: text(manifest) },
  { name: 'package/.index.json', content: text(index) },
  ...resources.map(({ name, resource }) => ({ name: `package/${name}`, content: text(resource) })),
  ...jsonIn('examples/valid').map((name) => ({
    name: `package/example/${name}`,
    content: text(read(`examples/valid/${name}`)),
  })),
]
const archive = packed(files)
writeFileSync(file, archive)
console.log(`${file}: ${files.length} files, ${archive.length} bytes`)
