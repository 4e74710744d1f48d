/**
 * Random resources, random queries: a store finds what `match` finds, in the same order, page by page, and counts it.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * SEED=n repeats a run. Values are drawn from those that break things: case, accents, wildcards, separators, lengths.
 */
import { expect, test } from '@jest/globals'
import {
  compareKeys,
  type Expression,
  everything,
  fold,
  type Include,
  type IndexEntry,
  match,
  nothing,
  type Prefix,
  type Query,
  type Sort,
  type Subject,
  sortKeys,
  type World,
} from '../search/index.js'
import type { Change, Store } from './store.js'
import { drop, type Engine, namesOf, put, query, reachOf } from './testing.js'

const long = 'Ludwigshafen '.repeat(12)
const texts = [
  ...['Smith', 'smith', 'SMITH', 'Smit', 'smithe', 'Ärger', 'Arger', 'ärgern', 'Müller-Lüdenscheidt', 'ﬁ', 'ς', ''],
  ...['%', '_', '100%', 'a_b', "O'Brien", '"quoted"', '--', ';DROP TABLE x', '__proto__', 'constructor', 'a|b', 'a,b'],
  ...['$', '$where', 'a\\b', '😀', '😀😁', '\ud83d\ude00x', '\uffee', '\ue000', 'z', '   ', '1.0', 'null', 'undefined'],
  ...[long, `${long}a`, `${long}b`, 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(65), '日本', 'İstanbul', 'ẞ', 'ß', 'ss'],
]
const systems = ['', 'http://loinc.org', 'http://LOINC.org', 'urn:oid:1.2', '|', 'http://a,b']
const uris = [
  'http://x.org/a',
  'http://x.org/a/b',
  'http://x.org/ab',
  'http://x.org',
  'urn:uuid:1',
  '/',
  'a/',
  '__proto__',
]
const codes = ['mg', 'g', 'mm[Hg]', '%', '']
const types = ['Patient', 'Observation', 'Encounter', 'Location']
const params = {
  token: ['code', 'status', 'subject:identifier'],
  string: ['name', 'code:text'],
  uri: ['profile'],
  interval: ['date', 'birthdate', 'number'],
  quantity: ['value-quantity'],
  reference: ['patient', 'subject', 'link', '__proto__'],
  composite: ['code-value-quantity', 'relation', 'code-date'],
}
const numbers = [-1e300, -5, -0.5, 0, 0.1, 0.3, 1, 1.5, 2, 100, 99.5, 100.5, 1e15, 2 ** 53, 1e300]
const dates = [-8.64e15, -1e12, 0, 1, 999, 1000, 86_400_000, 86_400_000 * 40, 1.7e12, 1.7e12 + 1, 8.64e15]
const prefixes: Prefix[] = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap']
const widths = [0, 0, 1, 999, 86_399_999, 86_400_000 * 31, 86_400_000 * 400, 1e13]

/** Small, quick, and the same everywhere (mulberry32). */
function randomness(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  const pick = <T>(of: readonly T[]): T => of[below(of.length)]!
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: below(most + 1) }, make)
  return { next, below, pick, some, chance: (p: number) => next() < p }
}

type Random = ReturnType<typeof randomness>

function generator(random: Random, idsOf: (type: string) => string[]) {
  const { below, pick, some, chance } = random
  const text = () => (chance(0.1) ? `${pick(texts)} ${pick(texts)}` : pick(texts))
  const meeting = () => {
    const lo = below(4)
    return { lo, hi: lo + below(3) }
  }
  const interval = () => {
    // Half of them meet each other's ends.
    if (chance(0.5)) return meeting()
    const lo = chance(0.5) ? pick(dates) : pick(numbers)
    return { lo, hi: lo + pick(widths) }
  }
  const named = () => {
    const type = pick(types)
    return { type, id: chance(0.05) ? 'nowhere' : pick(idsOf(type)) }
  }
  const words = () =>
    some(4, text)
      .flatMap((each) => fold(each).split(' '))
      .filter((word) => word !== '')

  const entry = (kind: IndexEntry['kind'], param: string): IndexEntry => {
    switch (kind) {
      case 'token': {
        const system = pick(systems)
        return {
          kind,
          param,
          ...(system && { system }),
          ...(!system || chance(0.9) ? { code: text() } : {}),
        }
      }
      case 'string':
        return { kind, param, value: text() }
      case 'uri':
        return { kind, param, value: pick(uris) }
      case 'interval':
        return { kind, param, ...interval() }
      case 'quantity': {
        const { lo, hi } = interval()
        return {
          kind,
          param,
          lo,
          hi,
          ...(chance(0.7) && { system: pick(systems.slice(1)) }),
          ...(chance(0.7) && { code: pick(codes) }),
          ...(chance(0.5) && { unit: pick(codes) }),
          ...(chance(0.6) && { canonical: { code: pick(codes), lo: lo / 1000, hi: hi / 1000 } }),
        }
      }
      case 'reference':
        return { kind, param, ...named(), ...(chance(0.1) && { version: String(1 + below(3)) }) }
      case 'reference-url':
        return { kind, param, url: pick(uris) }
      case 'composite': {
        const leaf = (i: number) =>
          some(2, () => entry(componentKinds[param as keyof typeof componentKinds][i]!, `$${i}`))
        return { kind, param, components: [leaf(0), leaf(1)] }
      }
      case 'position':
        return { kind, param, latitude: pick([0, 10, 48.1, -90]), longitude: pick([0, 11.5, 179.9, -179.9]) }
      case 'text':
        return { kind, param: param as '_text', words: words().join(' ') }
    }
  }

  const entries = (): IndexEntry[] => [
    ...params.token.flatMap((param) => some(2, () => entry('token', param))),
    ...params.string.flatMap((param) => some(2, () => entry('string', param))),
    ...params.uri.flatMap((param) => some(2, () => entry('uri', param))),
    ...params.interval.flatMap((param) => some(2, () => entry('interval', param))),
    ...params.quantity.flatMap((param) => some(2, () => entry('quantity', param))),
    ...params.reference.flatMap((param) =>
      some(2, () => entry(param === 'link' && chance(0.5) ? 'reference-url' : 'reference', param)),
    ),
    ...params.composite.flatMap((param) => some(2, () => entry('composite', param))),
    ...some(2, () => entry('position', 'near')),
    ...(chance(0.5) ? [entry('text', '_text')] : []),
    ...(chance(0.5) ? [entry('text', '_content')] : []),
  ]

  const prefix = () => pick(prefixes)

  const leaf = (kind: keyof typeof params, param: string): Expression => {
    switch (kind) {
      case 'token': {
        const system = chance(0.5) ? { system: pick(systems) } : {}
        return { op: 'token', param, ...system, ...('system' in system && chance(0.3) ? {} : { code: text() }) }
      }
      case 'string': {
        const how = pick(['starts', 'contains', 'exact', 'equals', 'ends'] as const)
        const value = text()
        const folded = fold(value)
        if (how === 'exact') return { op: 'string', param, how, value }
        return { op: 'string', param, how, value: chance(0.5) ? folded.slice(0, 1 + below(4)).trim() : folded }
      }
      case 'uri':
        return { op: 'uri', param, how: pick(['exact', 'below', 'above'] as const), value: pick(uris) }
      case 'interval':
        return { op: 'interval', param, prefix: prefix(), ...interval() }
      case 'quantity': {
        const unit = pick<Extract<Expression, { op: 'quantity' }>['unit']>([
          { kind: 'any' },
          { kind: 'canonical', code: pick(codes) },
          { kind: 'coded', system: pick(systems.slice(1)), code: pick(codes) },
          { kind: 'text', text: pick(codes) },
        ])
        const { lo, hi } = interval()
        const scale = unit.kind === 'canonical' ? 1000 : 1
        return { op: 'quantity', param, prefix: prefix(), lo: lo / scale, hi: hi / scale, unit }
      }
      case 'reference':
        if (chance(0.2)) return { op: 'reference', param, target: { url: pick(uris) } }
        return {
          op: 'reference',
          param,
          target: { ...named(), ...(chance(0.1) && { version: String(1 + below(3)) }) },
        }
      case 'composite':
        return {
          op: 'composite',
          param,
          of: [0, 1].map((i) => leaf(componentKinds[param as keyof typeof componentKinds][i]!, `$${i}`)),
        }
    }
  }

  const expression = (depth: number): Expression => {
    if (depth > 0 && chance(0.55)) {
      const inner = () => expression(depth - 1)
      switch (below(7)) {
        case 0:
          return { op: 'and', of: [inner(), inner(), ...some(1, inner)] }
        case 1:
          return { op: 'or', of: [inner(), inner(), ...some(4, inner)] }
        case 2:
          return { op: 'not', of: inner() }
        case 3:
          return { op: 'typed', of: Object.fromEntries(some(3, () => [pick(types), inner()])) }
        case 4:
        case 5:
          return {
            op: 'chain',
            param: pick(params.reference),
            types: [pick(types), ...some(2, () => pick(types))],
            of: inner(),
          }
        default:
          return { op: 'has', type: pick(types), param: pick(params.reference), of: inner() }
      }
    }
    switch (below(12)) {
      case 0:
        return chance(0.8) ? everything : nothing
      case 1:
        return { op: 'ids', ids: some(4, () => pick(idsOf(pick(types)))) }
      case 2:
        return {
          op: 'missing',
          param: pick([...Object.values(params).flat(), 'near', '_text', 'unheard-of', '_id', '_lastUpdated']),
        }
      case 3:
        return { op: 'near', param: 'near', latitude: 48, longitude: 11, km: pick([0, 20, 1000, 5000, 20_000]) }
      case 4: {
        const asked = words()
        if (!asked.length) return everything
        return {
          op: 'text',
          param: pick(['_text', '_content'] as const),
          words: asked.slice(0, 2).map((word) => (chance(0.3) ? `${word.slice(0, 2)}*` : word)),
        }
      }
      default: {
        const kind = pick(Object.keys(params) as (keyof typeof params)[])
        return leaf(kind, pick(params[kind]))
      }
    }
  }

  const sorts = (): Sort[] =>
    some(2, () => ({
      param: pick([...Object.values(params).flat(), 'near', '_id', '_lastUpdated', 'unheard-of']),
      descending: chance(0.5),
    }))

  const include = (): Include => ({
    reverse: chance(0.5),
    type: chance(0.1) ? '*' : pick(types),
    param: chance(0.2) ? '*' : pick(params.reference),
    ...(chance(0.3) && { target: pick(types) }),
    iterate: chance(0.3),
  })

  return { entries, expression, sorts, include }
}

const componentKinds = {
  'code-value-quantity': ['token', 'quantity'],
  relation: ['reference', 'string'],
  'code-date': ['interval', 'interval'],
} as const

/** `subjects` stand in the order in which they came into being. */
class Model {
  readonly subjects: Subject[] = []
  private readonly places = new Map<string, number>()

  set(subject: Subject, live: boolean): void {
    const name = `${subject.type}/${subject.id}`
    const place = this.places.get(name) ?? this.places.size
    this.places.set(name, place)
    this.all[place] = live ? subject : undefined
  }
  private readonly all: (Subject | undefined)[] = []

  current(): Subject[] {
    return this.all.filter((subject) => subject !== undefined)
  }
}

/** What may be seen, and the world as it is then: what is hidden is not there. */
function seen(subjects: Subject[], reach: { of(type: string): Expression }): { visible: Subject[]; world: World } {
  const worldOf = (of: Subject[]): World => {
    const byName = new Map(of.map((subject) => [`${subject.type}/${subject.id}`, subject]))
    const referring = (type: string, param: string, ref: { type: string; id: string }) =>
      of.filter(
        (subject) =>
          subject.type === type &&
          subject.entries.some(
            (entry) =>
              entry.kind === 'reference' && entry.param === param && entry.type === ref.type && entry.id === ref.id,
          ),
      )
    return { resolve: ({ type, id }) => byName.get(`${type}/${id}`), referring, reach: { of: () => everything } }
  }
  const whole = worldOf(subjects)
  const visible = subjects.filter((subject) => match(subject, reach.of(subject.type), whole))
  return { visible, world: worldOf(visible) }
}

function expectedOrder(subjects: Subject[], { types: of, where, sort }: Query, world: World): Subject[] {
  const found = subjects.filter((subject) => (!of || of.includes(subject.type)) && match(subject, where, world))
  const keys = new Map(found.map((subject) => [subject, sortKeys(subject, sort)]))
  return found
    .map((subject, place) => ({ subject, place }))
    .sort((a, b) => {
      for (const [i, { descending }] of sort.entries()) {
        const x = keys.get(a.subject)![i]!
        const y = keys.get(b.subject)![i]!
        const difference = descending && x !== null && y !== null ? compareKeys(y, x) : compareKeys(x, y)
        if (difference) return difference
      }
      return a.place - b.place
    })
    .map(({ subject }) => subject)
}

/** What a page of matches brings along. */
function expectedIncludes(
  matches: Subject[],
  includes: Include[],
  { resolve }: World,
  visible: Subject[],
): Set<Subject> {
  const found = new Set<Subject>()
  let frontier = matches
  let asked = includes
  while (frontier.length && asked.length) {
    const added = new Set<Subject>()
    for (const { reverse, type, param, target } of asked) {
      const leads = (from: Subject): Subject[] => {
        if (type !== '*' && from.type !== type) return []
        return from.entries.flatMap((entry) => {
          if (entry.kind !== 'reference' || (param !== '*' && entry.param !== param)) return []
          const to = target === undefined || entry.type === target ? resolve(entry) : undefined
          return to ? [to] : []
        })
      }
      if (reverse) {
        for (const from of visible) if (leads(from).some((to) => frontier.includes(to))) added.add(from)
      } else for (const from of frontier) for (const to of leads(from)) added.add(to)
    }
    frontier = [...added].filter((each) => !found.has(each) && !matches.includes(each))
    for (const each of frontier) found.add(each)
    asked = includes.filter(({ iterate }) => iterate)
  }
  return found
}

const nameOf = ({ type, id }: Subject): string => `${type}/${id}`

async function pages(store: Store, asked: Query, reach: ReturnType<typeof reachOf>): Promise<string[]> {
  const names: string[] = []
  let after = asked.after
  do {
    const { after: _, ...rest } = asked
    const found = await store.search({ ...rest, include: [], ...(after && { after }) }, reach)
    names.push(...namesOf(found))
    after = found.next
  } while (after)
  return names
}

export function agreement(engine: Engine, { resources = 120, queries = 400 } = {}): void {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

  test(`${engine.name} and the matcher agree on random searches (SEED=${seed})`, async () => {
    const random = randomness(seed)
    const ids = Object.fromEntries(
      types.map((type, t) => [type, Array.from({ length: resources / 4 }, (_, i) => `${t}.${i}`)]),
    )
    const given = generator(random, (type) => ids[type]!)
    let now = 1_000_000
    const { store, dispose } = await engine.open({ clock: () => now, includesMax: 100_000 })
    try {
      const model = new Model()
      for (let written = 0; written < resources * 1.5; ) {
        now += random.below(3)
        const changes = new Map<string, { change: Change; entries: IndexEntry[] }>()
        for (let i = random.below(8); i >= 0; i--) {
          const type = random.pick(types)
          const name = `${type}/${random.pick(ids[type]!)}`
          const entries = given.entries()
          const change = random.chance(0.1)
            ? drop(name)
            : put(name, {
                content: { version: String(written++) },
                entries,
                references: entries.flatMap((entry) =>
                  entry.kind === 'reference' ? [`${entry.type}/${entry.id}`] : [],
                ),
              })
          changes.set(name, { change, entries })
        }
        const list = [...changes.values()]
        const committed = await store.commit({ changes: list.map(({ change }) => change), integrity: false })
        for (const [i, { stored, outcome }] of committed.entries()) {
          const { type, id, updated } = stored
          if (outcome !== 'unchanged')
            model.set({ type, id, updated, entries: list[i]!.entries }, list[i]!.change.op === 'put')
        }
      }
      const subjects = model.current()
      for (let i = 0; i < queries; i++) {
        const reach = random.chance(0.5)
          ? reachOf({}, everything)
          : reachOf(
              Object.fromEntries(random.some(4, () => [random.pick(types), given.expression(2)])),
              random.pick([everything, nothing]),
            )
        const { visible, world } = seen(subjects, reach)
        const asked = query(
          random.pick<string[] | undefined>([[random.pick(types)], [random.pick(types)], types.slice(1, 3), undefined]),
          given.expression(3),
          { sort: given.sorts(), count: random.pick([1, 3, 10, 1000]), total: true },
        )
        const label = `SEED=${seed}, query ${i}: ${JSON.stringify(asked)} within ${JSON.stringify(types.map((type) => reach.of(type)))}`
        const expected = expectedOrder(visible, asked, world)
        const first = await store.search(asked, reach)
        expect({ label, total: first.total }).toEqual({ label, total: expected.length })
        expect({ label, found: await pages(store, asked, reach) }).toEqual({ label, found: expected.map(nameOf) })

        const include = [given.include(), ...random.some(2, given.include)]
        const page = await store.search({ ...asked, include }, reach)
        const matches = expected.slice(0, asked.count)
        const included = expectedIncludes(matches, include, world, visible)
        expect({ label, include, found: namesOf(page).slice(matches.length).sort() }).toEqual({
          label,
          include,
          found: [...included].map((each) => `(${nameOf(each)})`).sort(),
        })
      }
    } finally {
      await dispose()
    }
  }, 120_000)

  test(`${engine.name} and the matcher agree on every prefix at every boundary`, async () => {
    const { store, dispose } = await engine.open()
    try {
      const ends = [0, 1, 2, 3, 86_400_003]
      const periods = ends.flatMap((lo) => ends.filter((hi) => hi >= lo).map((hi) => ({ lo, hi })))
      const entries = (period: { lo: number; hi: number }): IndexEntry[] => [
        { kind: 'interval', param: 'date', ...period },
        { kind: 'quantity', param: 'value', ...period, code: 'g', canonical: { code: 'kg', ...period } },
      ]
      const subjects = periods.map((period, i) => ({
        type: 'Observation',
        id: `${i}`,
        updated: 0,
        entries: entries(period),
      }))
      await store.commit({
        changes: subjects.map((subject) => put(nameOf(subject), { entries: [...subject.entries] })),
        integrity: true,
      })
      for (const period of periods)
        for (const prefix of prefixes)
          for (const test of [
            { op: 'interval', param: 'date', prefix, ...period },
            { op: 'quantity', param: 'value', prefix, ...period, unit: { kind: 'any' } },
            { op: 'quantity', param: 'value', prefix, ...period, unit: { kind: 'canonical', code: 'kg' } },
          ] as const)
            for (const where of [test, { op: 'not', of: test }] as const) {
              const found = namesOf(await store.search(query(['Observation'], where), reachOf({}, everything)))
              const expected = subjects.filter((subject) => match(subject, where)).map(nameOf)
              expect({ where, found }).toEqual({ where, found: expected })
            }
    } finally {
      await dispose()
    }
  })
}
