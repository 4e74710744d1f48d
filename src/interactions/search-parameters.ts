/**
 * The search parameters in force: R4's, and those that active SearchParameter resources define.
 *
 * https://hl7.org/fhir/R4/searchparameter.html
 *
 * An uploaded parameter is in force at once for what is written from then on, and its state is 'indexing' until all
 * that was stored before has been visited. The visit is a Task in the store: it can be watched, and goes on where it
 * stopped when the server is started again.
 */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { reach } from '../access/index.js'
import {
  FhirError,
  instant,
  invariant,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  type SearchParam,
  splice,
  writeJson,
} from '../fhir/index.js'
import { type Expression, type Position, type SearchParams, searchParams } from '../search/index.js'
import type { Change, Commit, Store } from '../store/index.js'
import { definitionTypes } from '../validation/index.js'
import type { Context, Rule } from './context.js'
import { customParameter, typesOf } from './custom-parameter.js'
import { entriesOf, type ReindexPlace, reindexed } from './reindex.js'
import { update } from './update.js'

/** An uploaded parameter and the resource that defines it. `task` is named after what the parameter means. */
type Uploaded = { id: string; param: SearchParam; task: string; state: 'active' | 'indexing' }

/** Everything but the search parameters, which are made here. `store` is the bare one. */
export type DefinitionsContext = Omit<Context, 'searchParams'>

const codeSystem = 'https://hospitallink.example/fhir/CodeSystem/task'

/** How long a write may take from its preparation to its commit and still be indexed by parameters that came meanwhile. */
const inFlightMs = 60_000

/** How long after a visit that failed the next begins, doubled with each failure up to the longest. */
const retryMs = { first: 1000, longest: 300_000 }

/** How often a process looks for the parameters that came through another. */
const followMs = 300
/** How long a visit waits, so that every process writes with the parameter what the visit would come too late for. */
const settleMs = 1500

/** How often progress is written down. */
const progressMs = 2000

export class Definitions {
  /** The store interactions shall use: it takes notice of each SearchParameter that is committed. */
  readonly store: Store
  private uploaded: Uploaded[] = []
  private inForce = searchParams()
  private fresh: { types: ReadonlySet<string>; until: number } = { types: new Set(), until: 0 }
  private refreshing: Promise<void> = Promise.resolve()
  private working: Promise<void> | undefined
  private closed = false
  private failures = 0
  private retry: NodeJS.Timeout | undefined

  private following: NodeJS.Timeout | undefined
  private readonly unwatch: () => void

  private constructor(
    private readonly context: DefinitionsContext,
    /** Whether other processes may be at work on the same store. */
    private readonly shared: boolean,
  ) {
    this.store = this.watched(context.store)
    this.unwatch = shared ? context.store.watch(() => this.followLater()) : () => undefined
  }

  /** Reads what is stored, and goes on with visits that a stop of the server has interrupted. */
  static async open(context: DefinitionsContext, { shared = false } = {}): Promise<Definitions> {
    const definitions = new Definitions(context, shared)
    try {
      await definitions.refresh()
    } catch (error) {
      await definitions.close()
      throw error
    }
    return definitions
  }

  /** The parameters in force now. */
  get current(): SearchParams {
    return this.inForce
  }

  /** Refuses active SearchParameters that nobody could search by. */
  readonly rule: Rule = Object.assign((change: Change) => this.refuseUnsearchable(change), {
    types: new Set(['SearchParameter']),
  })

  private async refuseUnsearchable(change: Change): Promise<Change[]> {
    const resource = change.op === 'put' ? resourceOf(change) : undefined
    if (resource?.['status'] !== 'active') return []
    const others = this.uploaded.filter(({ id }) => id !== change.id)
    const param = customParameter(resource, searchParams(others.map(({ param, state }) => ({ ...param, state }))))
    if (param && others.some((other) => other.param.url === param.url))
      throw invariant('another active SearchParameter has this url; retire that one first', 'SearchParameter.url')
    return []
  }

  /** Reads the parameters anew; after this they are in force. One refresh at a time. */
  refresh(): Promise<void> {
    this.refreshing = this.refreshing.then(
      () => this.reread(),
      () => this.reread(),
    )
    return this.refreshing
  }

  /** Resolves when all that was stored before has been visited. */
  async settled(): Promise<void> {
    await this.working
  }

  /** Stops visiting; what is left is done after the next start. */
  async close(): Promise<void> {
    this.closed = true
    this.unwatch()
    clearTimeout(this.following)
    clearTimeout(this.retry)
    await this.working
  }

  private get own(): Context {
    return { ...this.context, searchParams: this.inForce }
  }

  private watched(store: Store): Store {
    return {
      read: (ref, reach, version) => store.read(ref, reach, version),
      search: (query, reach) => store.search(query, reach),
      history: (query, reach) => store.history(query, reach),
      changes: (after, limit) => store.changes(after, limit),
      watch: (listener) => store.watch(listener),
      explain: (query, reach) => store.explain(query, reach),
      secrets: store.secrets,
      audit: store.audit,
      maintenance: store.maintenance,
      commit: async (commit) => {
        const committed = await store.commit(this.upToDate(commit))
        if (commit.changes.some(({ type }) => type === 'SearchParameter')) await this.refresh()
        if (commit.changes.some(({ type }) => definitionTypes.has(type))) this.context.profiles.forget()
        return committed
      },
    }
  }

  /** What was prepared before a parameter came into force, and is committed after, must be found by it all the same. */
  private upToDate(commit: Commit): Commit {
    const { types, until } = this.fresh
    if (this.context.clock() > until || !commit.changes.some(({ type }) => types.has(type))) return commit
    const changes = commit.changes.map(
      (change): Change =>
        change.op === 'put' && types.has(change.type)
          ? { ...change, entries: entriesOf(this.own, splice(change.serialized, 1, 0)) }
          : change,
    )
    return { ...commit, changes }
  }

  /** What came through another process is in force here soon; the visit is the other's. */
  private followLater(): void {
    if (this.closed) return
    this.following ??= setTimeout(() => {
      this.following = undefined
      this.refreshing = this.refreshing
        .catch(() => undefined)
        .then(() => this.look())
        // The next change tells again.
        .then(
          () => undefined,
          () => undefined,
        )
    }, followMs).unref()
  }

  private async reread(): Promise<void> {
    const { uploaded, tasks } = await this.look()
    for (const task of tasks.values()) await this.cancelUnlessMeant(task)
    for (const each of uploaded)
      if (each.state === 'indexing' && tasks.get(each.task)?.['status'] !== 'in-progress')
        await this.save(each, 'in-progress')
    this.start()
  }

  /** What is stored, which is in force afterwards. */
  private async look(): Promise<{ uploaded: Uploaded[]; tasks: Map<string, Resource> }> {
    const uploaded: Uploaded[] = []
    for await (const resource of this.stored('SearchParameter', token('status', 'active'))) {
      const param = this.accepted(resource, uploaded)
      if (param) uploaded.push({ id: resource.id!, param, task: taskOf(param), state: 'indexing' })
    }
    const tasks = new Map<string, Resource>()
    for await (const task of this.stored('Task', token('code', 'reindex', codeSystem))) tasks.set(task.id!, task)
    for (const each of uploaded) if (tasks.get(each.task)?.['status'] === 'completed') each.state = 'active'
    if (JSON.stringify(uploaded) === JSON.stringify(this.uploaded)) return { uploaded: this.uploaded, tasks }
    const added = uploaded.filter(({ task }) => !this.uploaded.some((known) => known.task === task))
    this.uploaded = uploaded
    this.apply()
    const types = added.flatMap(({ param }) => typesOf(param.base))
    if (types.length) this.fresh = { types: new Set(types), until: this.context.clock() + inFlightMs }
    return { uploaded, tasks }
  }

  private start(): void {
    clearTimeout(this.retry)
    this.working ??= this.work().finally(() => {
      this.working = undefined
    })
  }

  /** What failed is tried again, from where it stood, ever more seldom while it fails. */
  private startLater(): void {
    clearTimeout(this.retry)
    if (this.closed) return
    const delayMs = Math.min(retryMs.first * 2 ** this.failures++, retryMs.longest)
    this.retry = setTimeout(() => this.start(), delayMs).unref()
  }

  private apply(): void {
    this.inForce = searchParams(this.uploaded.map(({ param, state }) => ({ ...param, state })))
  }

  /** What the rule would refuse now has come here by another way, and has no effect. */
  private accepted(resource: Resource, before: Uploaded[]): SearchParam | undefined {
    try {
      const param = customParameter(resource, searchParams(before.map(({ param, state }) => ({ ...param, state }))))
      return before.some((other) => other.param.url === param?.url) ? undefined : param
    } catch (error) {
      if (error instanceof FhirError) return undefined
      throw error
    }
  }

  /** Resources are written without the entries of a parameter that is not in force: should it return, all begins anew. */
  private async cancelUnlessMeant(task: Resource): Promise<void> {
    const status = task['status']
    if ((status !== 'in-progress' && status !== 'completed') || this.uploaded.some((each) => each.task === task.id))
      return
    await update(this.own, { type: 'Task', id: task.id! }, { ...task, status: 'cancelled' })
  }

  private async work(): Promise<void> {
    const failed = new Set<string>()
    for (;;) {
      const next = this.uploaded.find(({ state, task }) => state === 'indexing' && !failed.has(task))
      if (!next || this.closed) {
        if (failed.size) this.startLater()
        return
      }
      try {
        await this.visit(next)
        this.failures = 0
      } catch (error) {
        // The parameter stays 'indexing', which a search is told.
        failed.add(next.task)
        this.context.report?.(
          new Error('a visit for a new search parameter failed; it is tried again', { cause: error }),
        )
      }
    }
  }

  private async visit(each: Uploaded): Promise<void> {
    let saved = this.context.clock()
    let place = await this.placeOf(each)
    if (this.shared && !place) await pause(settleMs)
    for await (place of reindexed(() => this.own, typesOf(each.param.base), place)) {
      const meant = this.uploaded.some(({ task }) => task === each.task)
      if (meant && (this.closed || this.context.clock() - saved >= progressMs)) {
        await this.save(each, 'in-progress', place)
        saved = this.context.clock()
      }
      if (!meant || this.closed) return
    }
    await this.save(each, 'completed', place)
    this.uploaded = this.uploaded.map((known) => (known.task === each.task ? { ...known, state: 'active' } : known))
    this.apply()
  }

  private async save({ param, task: id }: Uploaded, status: string, place?: ReindexPlace): Promise<void> {
    const now = instant(this.context.clock())
    const output = (code: string, value: JsonObject) => ({ type: { coding: [{ system: codeSystem, code }] }, ...value })
    await update(
      this.own,
      { type: 'Task', id },
      {
        resourceType: 'Task',
        id,
        status,
        intent: 'order',
        code: {
          coding: [{ system: codeSystem, code: 'reindex' }],
          text: 'Index what is stored by a new search parameter',
        },
        // A literal reference would keep the parameter from being deleted.
        focus: { type: 'SearchParameter', identifier: { system: 'urn:ietf:rfc:3986', value: param.url } },
        lastModified: now,
        output: [
          output('visited', { valueInteger: place?.visited ?? 0 }),
          ...(place
            ? [output('type', { valueCode: place.type }), output('after', { valueString: String(place.after) })]
            : []),
        ],
      },
    )
  }

  private async placeOf({ task: id, param }: Uploaded): Promise<ReindexPlace | undefined> {
    const stored = await this.context.store.read({ type: 'Task', id }, reach(this.context.caller, 'read'))
    const task = stored && !stored.deleted ? (parseJson(stored.body) as Resource) : undefined
    const outputs = Array.isArray(task?.['output']) ? task['output'] : []
    const output = (code: string, key: string): Json | undefined =>
      outputs.filter((each) => isObject(each)).find(({ type }) => writeJson(type!).includes(`"${code}"`))?.[key]
    const type = output('type', 'valueCode')
    const after = Number(output('after', 'valueString'))
    if (task?.['status'] !== 'in-progress' || typeof type !== 'string' || !typesOf(param.base).includes(type)) return
    return { type, after, visited: Number(output('visited', 'valueInteger')) }
  }

  private async *stored(type: string, where: Expression): AsyncGenerator<Resource> {
    let after: Position | undefined
    do {
      const query = { types: [type], where, sort: [], include: [], count: 100, total: false, ...(after && { after }) }
      const found = await this.context.store.search(query, reach(this.context.caller, 'search'))
      for (const { stored } of found.matches) yield parseJson(stored.body) as Resource
      after = found.next
    } while (after)
  }
}

const token = (param: string, code: string, system?: string): Expression => ({
  op: 'token',
  param,
  code,
  ...(system !== undefined && { system }),
})

const resourceOf = ({ serialized }: Change & { op: 'put' }): Resource => parseJson(splice(serialized, 1, 0)) as Resource

/** Equal meanings have equal names, so that a visit need not be repeated where only a description changes. */
function taskOf(param: SearchParam): string {
  const { url, code, base, type, expression, target, component } = param
  const meaning = JSON.stringify([url, code, base, type, expression, target, component])
  return `reindex-${createHash('sha256').update(meaning).digest('hex').slice(0, 40)}`
}
