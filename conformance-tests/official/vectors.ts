/**
 * HL7's own test vectors, read from ../shared beside the repository (or `SHARED`); they are not copied into it.
 *
 * https://github.com/FHIR/fhir-test-cases
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { test } from '@jest/globals'

const shared = process.env['SHARED'] ?? fileURLToPath(new URL('../../../shared', import.meta.url))
const folder = join(shared, 'data', 'fhir-test-cases')

/** `test` where the vectors are there; elsewhere the tests are skipped, and their names say what is missing. */
export const vectorTest: typeof test.skip = existsSync(folder) ? test : test.skip

export const vectorFile = (name: string): string => gunzipSync(readFileSync(join(folder, `${name}.gz`))).toString()
