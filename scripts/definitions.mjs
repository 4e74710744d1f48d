/**
 * Compiles HL7's own R4 package (CC0) to the compact tables under profiles/r4.
 *
 * https://hl7.org/fhir/R4/downloads.html
 *
 * Run with `npm run definitions [FOLDER]`; without a folder the package hl7.fhir.r4.examples 4.0.1 is fetched with
 * `npm pack`. The tables are committed, so that neither building nor running the server needs the package (191 MB).
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'

const SOURCE = 'hl7.fhir.r4.examples@4.0.1'
const output = fileURLToPath(new URL('../profiles/r4/', import.meta.url))
const folder = process.argv[2] ?? fetched()

const STRUCTURE = 'http://hl7.org/fhir/StructureDefinition/'
const FHIR_TYPE = `${STRUCTURE}structuredefinition-fhir-type`
const SYSTEM_TYPE = 'http://hl7.org/fhirpath/System.'

const structures = all('StructureDefinition').filter(
  ({ kind, derivation }) => kind !== 'logical' && derivation !== 'constraint',
)
const valueSets = new Map(all('ValueSet').map((valueSet) => [valueSet.url, valueSet]))
const codeSystems = new Map(all('CodeSystem').map((codeSystem) => [codeSystem.url, codeSystem]))

const { types, required } = typesOf(structures)
write('types.json', types)
for (const url of boundByProfiles(all('StructureDefinition'))) if (expand(url)) required.add(url)
write('codes.json', codesOf(required))
write('search-parameters.json', searchParametersOf(all('SearchParameter')))
write('compartments.json', compartmentsOf(all('CompartmentDefinition')))
write('operations.json', operationsOf(all('OperationDefinition')))
writeTerminology([...all('CodeSystem'), ...all('ValueSet'), ...all('ConceptMap')])
write('profiles.json', profilesOf(all('StructureDefinition')))

function fetched() {
  const into = mkdtempSync(join(tmpdir(), 'hl7-'))
  execFileSync('npm', ['pack', SOURCE, '--silent'], { cwd: into })
  execFileSync('tar', ['xzf', readdirSync(into).find((name) => name.endsWith('.tgz'))], { cwd: into })
  return join(into, 'package')
}

function all(type) {
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${type}-`) && name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
    .filter(
      ({ resourceType, url }) =>
        resourceType === type &&
        !url?.startsWith('http://hl7.org/fhir/SearchParameter/example') &&
        url !== 'http://hl7.org/fhir/CompartmentDefinition/example' &&
        url !== 'http://hl7.org/fhir/OperationDefinition/example',
    )
}

/** One line an entry, so that a change of the tables can be read in a diff. */
function write(name, table) {
  const lines = Array.isArray(table)
    ? `[\n${table.map((entry) => JSON.stringify(entry)).join(',\n')}\n]\n`
    : `{\n${Object.entries(table)
        .map(([key, entry]) => `${JSON.stringify(key)}:${JSON.stringify(entry)}`)
        .join(',\n')}\n}\n`
  writeFileSync(join(output, name), lines)
  console.log(`${name} ${lines.length} bytes, ${Object.keys(table).length} entries`)
}

/**
 * Every type as { kind, base?, abstract?, regex?, elements? , invariants? }, backbone elements as types of their own
 * named by path ("Patient.contact"). Elements stand in the order of the snapshot, which is the order of XML.
 */
function typesOf(structures) {
  const types = {}
  const required = new Set()
  for (const structure of structures) {
    const { name, kind, abstract, baseDefinition, snapshot } = structure
    const [root, ...elements] = snapshot.element
    types[name] = {
      kind: kind === 'complex-type' ? 'complex' : kind === 'primitive-type' ? 'primitive' : 'resource',
      ...(baseDefinition && { base: baseDefinition.replace(STRUCTURE, '') }),
      ...(abstract && { abstract }),
      ...invariantsOf(root, name),
    }
    if (kind === 'primitive-type') {
      const value = elements.find(({ path }) => path === `${name}.value`)
      const regex = value?.type[0].extension?.find(({ url }) => url === `${STRUCTURE}regex`)?.valueString
      if (regex) types[name].regex = regex
      continue
    }
    types[name].elements = []
    for (const element of elements) {
      const parent = element.path.slice(0, element.path.lastIndexOf('.'))
      const compact = compactElement(element, name)
      if (compact.binding) required.add(compact.binding)
      types[parent].elements.push(compact)
      if (compact.types?.[0].code === element.path)
        types[element.path] = {
          kind: 'backbone',
          base: element.type[0].code,
          ...invariantsOf(element, name),
          elements: [],
        }
    }
  }
  return { types, required }
}

function compactElement(element, structure) {
  const { path, min, max, type = [], binding, isSummary, isModifier, contentReference } = element
  const last = path.slice(path.lastIndexOf('.') + 1)
  const isBackbone = type.length === 1 && ['BackboneElement', 'Element'].includes(type[0].code)
  const types = contentReference
    ? [{ code: contentReference.slice(1) }]
    : isBackbone
      ? [{ code: path }]
      : type.map((each) => ({
          code: codeOfType(each, path, structure),
          ...(each.targetProfile && { targets: each.targetProfile.map((url) => url.replace(STRUCTURE, '')) }),
        }))
  return {
    name: last.replace('[x]', ''),
    ...(last.endsWith('[x]') && { choice: true }),
    ...(min && { min }),
    ...(max === '*' ? { many: true } : max === '0' ? { max: 0 } : {}),
    types,
    ...(binding?.strength === 'required' && { binding: binding.valueSet.split('|')[0] }),
    ...(isSummary && { summary: true }),
    ...(isModifier && { modifier: true }),
    ...(!isBackbone && invariantsOf(element, structure)),
  }
}

function codeOfType({ code, extension }, path, structure) {
  if (!code.startsWith(SYSTEM_TYPE)) return code
  if (path.endsWith('.id') && isResource(structure) && path.split('.').length === 2) return 'id'
  return extension?.find(({ url }) => url === FHIR_TYPE)?.valueUrl ?? code.slice(SYSTEM_TYPE.length).toLowerCase()
}

function isResource(structure) {
  return structures.find(({ name }) => name === structure)?.kind === 'resource'
}

/** The invariants an element adds itself; those it inherits stand where they are defined. */
function invariantsOf({ constraint = [] }, structure) {
  const own = constraint.filter(
    ({ source, expression }) => expression && (!source || source.replace(STRUCTURE, '') === structure),
  )
  if (own.length === 0) return {}
  return {
    invariants: own.map(({ key, severity, human, expression, extension }) => ({
      key,
      severity: extension?.some(
        ({ url, valueBoolean }) => url.endsWith('elementdefinition-bestpractice') && valueBoolean,
      )
        ? 'warning'
        : severity,
      human,
      expression,
    })),
  }
}

/** The codes of each required value set that can be listed: url to { system: [code, ...] }; null where it cannot. */
function codesOf(urls) {
  return Object.fromEntries([...urls].sort().map((url) => [url, expand(url)]))
}

function expand(url, seen = new Set()) {
  const valueSet = valueSets.get(url.split('|')[0])
  if (!valueSet?.compose || seen.has(url)) return null
  seen.add(url)
  const found = {}
  const add = (system, code) => {
    found[system] ??= new Set()
    found[system].add(code)
  }
  for (const { system, concept, filter, valueSet: imported } of valueSet.compose.include) {
    if (imported) {
      for (const each of imported) {
        const codes = expand(each, seen)
        if (!codes) return null
        for (const [from, list] of Object.entries(codes)) for (const code of list) add(from, code)
      }
    } else if (concept) for (const { code } of concept) add(system, code)
    else {
      const codeSystem = codeSystems.get(system)
      if (!codeSystem?.concept || codeSystem.content !== 'complete') return null
      const listed = filter ? filtered(codeSystem, filter) : flat(codeSystem.concept)
      if (!listed) return null
      for (const code of listed) add(system, code)
    }
  }
  for (const { system, concept, filter } of valueSet.compose.exclude ?? []) {
    const listed = concept ? concept.map(({ code }) => code) : filter ? filtered(codeSystems.get(system), filter) : null
    if (!listed) return null
    for (const code of listed) found[system]?.delete(code)
  }
  return Object.fromEntries(Object.entries(found).map(([system, codes]) => [system, [...codes]]))
}

function flat(concepts) {
  return concepts.flatMap(({ code, concept = [] }) => [code, ...flat(concept)])
}

function filtered(codeSystem, filters) {
  if (filters.length !== 1 || !codeSystem) return null
  const [{ property, op, value }] = filters
  if (property !== 'concept' || !['is-a', 'descendent-of', 'is-not-a'].includes(op)) return null
  const find = (concepts) =>
    concepts.reduce((found, each) => found ?? (each.code === value ? each : find(each.concept ?? [])), null)
  const root = find(codeSystem.concept)
  if (!root) return null
  const below = flat(root.concept ?? [])
  if (op === 'descendent-of') return below
  if (op === 'is-a') return [value, ...below]
  const not = new Set([value, ...below])
  return flat(codeSystem.concept).filter((code) => !not.has(code))
}

function searchParametersOf(resources) {
  return resources
    .filter(({ base }) => base)
    .map(({ url, code, base, type, expression, target, component, xpathUsage }) => ({
      url,
      code,
      base,
      type,
      ...(expression && { expression }),
      ...(target && { target }),
      ...(component && {
        component: component.map((each) => ({ definition: each.definition, expression: each.expression })),
      }),
      ...(xpathUsage === 'phonetic' && { usage: 'phonetic' }),
    }))
}

function compartmentsOf(resources) {
  return Object.fromEntries(
    resources.map(({ code, resource }) => [
      code,
      Object.fromEntries(resource.filter(({ param }) => param).map((each) => [each.code, each.param])),
    ]),
  )
}

function operationsOf(resources) {
  return resources.map(({ url, name, code, resource, system, type, instance, affectsState, parameter = [] }) => ({
    url,
    name,
    code,
    ...(resource && { resource }),
    system,
    type,
    instance,
    ...(affectsState && { affectsState }),
    parameter: parameter.map(compactParameter),
  }))
}

function compactParameter({ name, use, min, max, type, part }) {
  return { name, use, min, max, ...(type && { type }), ...(part && { part: part.map(compactParameter) }) }
}

/** R4's own profiles and extensions by canonical, with of each element what a check asks of it. */
/** The value sets that profiles bind as required, besides those of the types. */
function boundByProfiles(structures) {
  return structures
    .filter(({ derivation }) => derivation === 'constraint')
    .flatMap(({ differential }) => differential.element)
    .filter(({ binding }) => binding?.strength === 'required' && binding.valueSet)
    .map(({ binding }) => binding.valueSet.split('|')[0])
}

function profilesOf(structures) {
  const only = (object, names) => Object.fromEntries(Object.entries(object).filter(([name]) => names.test(name)))
  const elementOf = ({ constraint, binding, ...element }) => ({
    ...only(
      element,
      /^(id|path|sliceName|slicing|min|max|type|maxLength|isModifier|(fixed|pattern|minValue|maxValue)[A-Z]\w*)$/,
    ),
    ...(binding && { binding: only(binding, /^(strength|valueSet)$/) }),
    ...(constraint && {
      constraint: constraint.map((each) => only(each, /^(key|severity|human|expression|extension)$/)),
    }),
  })
  return Object.fromEntries(
    structures
      .filter(({ derivation, type }) => derivation === 'constraint' && type)
      .map((structure) => [
        structure.url,
        {
          ...only(structure, /^(resourceType|url|version|name|title|kind|type|baseDefinition|context)$/),
          differential: { element: structure.differential.element.map(elementOf) },
        },
      ]),
  )
}

/**
 * Code systems, value sets and concept maps: blocks of about 64 KB that are deflated one by one (terminology.bin), and
 * where each resource stands (terminology.json: type and URL to [offset, length] of the block and of what it holds).
 */
function writeTerminology(resources) {
  const index = {}
  const blocks = []
  let offset = 0
  let pending = []
  let size = 0
  const flush = () => {
    const block = deflateRawSync(Buffer.concat(pending.map(({ bytes }) => bytes)), { level: 9 })
    let start = 0
    for (const { key, bytes } of pending) {
      index[key] = [offset, block.length, start, bytes.length]
      start += bytes.length
    }
    blocks.push(block)
    offset += block.length
    pending = []
    size = 0
  }
  for (const resource of resources.filter(({ url }) => url)) {
    const bytes = Buffer.from(JSON.stringify(compactTerminology(resource)))
    pending.push({ key: `${resource.resourceType} ${resource.url}`, bytes })
    size += bytes.length
    if (size > 65_536) flush()
  }
  if (pending.length) flush()
  writeFileSync(join(output, 'terminology.bin'), Buffer.concat(blocks))
  console.log(`terminology.bin ${offset} bytes, ${blocks.length} blocks`)
  write('terminology.json', index)
}

/** Without what is for people who read the page: narrative, contacts, comments. */
function compactTerminology(resource) {
  const left = [
    ...['text', 'meta', 'extension', 'contact', 'publisher', 'date', 'jurisdiction', 'identifier'],
    ...['description', 'purpose', 'copyright', 'useContext', 'immutable', 'experimental'],
  ]
  const kept = Object.fromEntries(Object.entries(resource).filter(([name]) => !left.includes(name)))
  const concepts = (list) =>
    list.map(({ extension: _, concept, ...each }) => ({ ...each, ...(concept && { concept: concepts(concept) }) }))
  return kept.concept ? { ...kept, concept: concepts(kept.concept) } : kept
}
