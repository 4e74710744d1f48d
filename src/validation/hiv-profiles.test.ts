/** The examples of profiles/hiv: the valid ones are, the others are refused for the reason the index names. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { parseJson, type Resource } from '../fhir/index.js'
import { Profiles } from './profiles.js'
import { structureIssues } from './structure.js'

const folder = new URL('../../profiles/hiv/', import.meta.url)
const read = (name: string) => parseJson(readFileSync(new URL(name, folder))) as Resource
const byUrl = new Map(
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map(read)
    .map((resource) => [`${resource.resourceType} ${resource['url']}`, resource]),
)

type Compose = { include: { system?: string; concept?: { code: string }[] }[] }

const profiles = new Profiles({
  definition: async (canonical) => byUrl.get(`StructureDefinition ${canonical}`),
  valueSet: async (canonical) => {
    const found = byUrl.get(`ValueSet ${canonical}`)
    if (!found) return undefined
    const { include } = found['compose'] as unknown as Compose
    return (code, system) =>
      include.some((each) => {
        if (system !== undefined && each.system !== system) return false
        const concepts =
          each.concept ?? (byUrl.get(`CodeSystem ${each.system}`)?.['concept'] as unknown as { code: string }[])
        return concepts.some((concept) => concept.code === code)
      })
  },
})

type Example = {
  file: string
  profile: string
  rejectedFor?: { code: string; expression?: string; key?: string; slice?: string }
}
const index = parseJson(readFileSync(new URL('examples/index.json', folder))) as unknown as Example[]

const issuesOf = async ({ file, profile }: Example) => {
  const resource = read(file)
  expect(structureIssues(resource)).toEqual([])
  return (await profiles.issues(resource, { profiles: [profile] })).filter(({ severity }) => severity === 'error')
}

describe('valid', () => {
  test.each(index.filter(({ rejectedFor }) => !rejectedFor))('$file', async (example) => {
    expect(await issuesOf(example)).toEqual([])
  })
})

describe('invalid', () => {
  test.each(index.filter(({ rejectedFor }) => rejectedFor))('$file', async (example) => {
    const { code, expression, key, slice } = example.rejectedFor!
    const issues = await issuesOf(example)
    expect(issues).toHaveLength(1)
    const [issue] = issues
    expect(issue!.code).toBe(code)
    if (expression !== undefined) expect(issue!.expression).toEqual([expression.replaceAll('[x]', '')])
    if (key !== undefined) expect(issue!.diagnostics).toContain(`(${key})`)
    if (slice !== undefined) expect(issue!.diagnostics).toContain(slice)
  })
})
