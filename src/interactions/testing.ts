/**
 * A world for the tests of interactions: the embedded store in a folder of its own, and a context with known ids and time.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anyone } from '../access/index.js'
import { FhirError, type Issue, type Json, parseJson, type Resource } from '../fhir/index.js'
import { searchParams } from '../search/index.js'
import { openSqlite, type Store } from '../store/index.js'
import { createTerminology } from '../terminology/index.js'
import { Profiles } from '../validation/index.js'
import type { BatchRequest, BatchResponse, Context, Settings } from './context.js'
import { read } from './read.js'
import { search } from './search.js'

export const baseUrl = 'http://hospital.test/fhir'

export type World = Context & { close(): Promise<void> }

export async function world(settings: Partial<Settings> = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
  const database = await openSqlite(join(folder, 'test.db'))
  const store = database.tenant('default')
  let ids = 0
  return {
    ...contextOn(store, settings),
    newId: () => `n${++ids}`,
    close: async () => {
      await database.close()
      rmSync(folder, { recursive: true })
    },
  }
}

function contextOn(store: Store, settings: Partial<Settings>): Context {
  return {
    caller: anyone,
    store,
    rules: [],
    searchParams: searchParams(),
    terminology: createTerminology(async () => undefined),
    profiles: new Profiles({ definition: async () => undefined, valueSet: async () => undefined }),
    clock: Date.now,
    newId: () => '',
    baseUrls: [baseUrl],
    settings: {
      zone: 'UTC',
      pageSize: 20,
      pageSizeMax: 1000,
      includesMax: 1000,
      bundleEntriesMax: 5000,
      searchValuesMax: 20_000,
      integrity: true,
      sealingKey: new Uint8Array(32),
      handling: 'strict',
      audit: false,
      ...settings,
    },
  }
}

/** The current content of a resource, without its meta. */
export async function contentOf(context: Context, type: string, id: string): Promise<Resource> {
  const { meta: _, ...content } = parseJson((await read(context, { type, id })).body) as Resource
  return content as Resource
}

/** How many resources of a type there are. */
export async function countOf(context: Context, type: string, parameters: [string, string][] = []): Promise<number> {
  const { found } = await search(context, { types: [type], parameters: [...parameters, ['_count', '1000']] })
  return found.matches.length
}

export type Failure = { status: number; issues: Issue[] }

/** The FhirError with which a task fails; anything else is thrown on, success is an error. */
export async function failureOf(task: Promise<unknown>): Promise<Failure> {
  try {
    await task
  } catch (error) {
    if (error instanceof FhirError) return { status: error.status, issues: error.issues }
    throw error
  }
  throw new Error('it did not fail')
}

/** Stands in for the HTTP layer: reads by id only. */
export const dispatchTo =
  (context: Context) =>
  async ({ url }: BatchRequest): Promise<BatchResponse> => {
    const [type = '', id = ''] = url.split('/')
    const { body } = await read(context, { type, id })
    return { status: 200, body }
  }

export const json = (body: Buffer): Json => parseJson(body)
