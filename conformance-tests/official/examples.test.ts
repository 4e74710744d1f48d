/**
 * HL7's own R4 resources: accepted, and equal after a way through JSON and through XML.
 *
 * https://hl7.org/fhir/R4/downloads.html
 *
 * `HL7_EXAMPLES` is the folder of the unpacked package hl7.fhir.r4.examples 4.0.1 (191 MB, which is why it is not
 * fetched): its 733 examples and the definitions R4 is made of, 5,306 resources.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { isObject, type Json, parseJson, type Resource, readXml, writeJson, writeXml } from '../../src/fhir/index.js'
import { structureIssues } from '../../src/validation/index.js'

const folder = process.env['HL7_EXAMPLES']
const exampleTest = folder === undefined ? test.skip : test

/** Resources that are invalid by R4's own definitions, each with the reason. */
const invalid: Record<string, string> = JSON.parse(
  readFileSync(new URL('../official-examples-invalid.json', import.meta.url), 'utf8'),
)

function* examples(): Generator<{ name: string; resource: Resource; text: string }> {
  for (const name of readdirSync(folder!).sort()) {
    if (!name.endsWith('.json') || name === 'package.json' || name.startsWith('.')) continue
    const text = readFileSync(join(folder!, name), 'utf8')
    yield { name, resource: parseJson(text) as Resource, text }
  }
}

/** Without the order of properties, which XML decides. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key]!)]),
  )
}

describe('the resources of the package hl7.fhir.r4.examples (needs HL7_EXAMPLES)', () => {
  exampleTest(
    'all but those listed as invalid are accepted',
    () => {
      const refused: string[] = []
      let count = 0
      for (const { name, resource } of examples()) {
        count++
        if (structureIssues(resource).length) refused.push(name)
      }
      expect(count).toBe(5306)
      expect(refused).toEqual(Object.keys(invalid).sort())
    },
    600_000,
  )

  exampleTest(
    'all come back from JSON as they went in, digit by digit',
    () => {
      const minified = (text: string) => text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, string?: string) => string ?? '')
      for (const { name, resource, text } of examples()) {
        const written = writeJson(resource)
        expect([name, sorted(parseJson(written))]).toEqual([name, sorted(resource)])
        // Byte for byte, but for how a string may be escaped.
        if (!text.includes('\\u') && !text.includes('\\/'))
          expect([name, written === minified(text)]).toEqual([name, true])
      }
    },
    600_000,
  )

  exampleTest(
    'all come back from XML with the same content, digit by digit',
    () => {
      for (const { name, resource } of examples()) {
        const before = writeJson(sorted(resource))
        const isSame = [false, true].map(
          (pretty) => writeJson(sorted(readXml(writeXml(resource, { pretty })))) === before,
        )
        expect([name, isSame]).toEqual([name, [true, true]])
      }
    },
    600_000,
  )
})
