/**
 * The rules of STYLE.md that a machine can check: import order, doors, headers, links.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A folder may import only those before it, and only through their index.ts. */
const folders =
  'fhir terminology validation search store access interactions workflow exchange operations smart rest web'.split(' ')

const filesIn = (folder, wanted) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true })
        .filter((name) => wanted.test(name) && !/(^|[\\/])(node_modules|dist|data)[\\/]/.test(name))
        .map((name) => join(folder, name).split(sep).join('/'))
        .sort()
    : []

const read = (file) => readFileSync(join(root, file), 'utf8')

const sources = filesIn('src', /\.ts$/)

/** Tests, and what only tests use; they may look behind doors. */
const isTest = (file) => /(\.test|(^|\/)(contract|agreement|testing))\.ts$/.test(file) || /\/testing\//.test(file)

/** What a source file imports, as paths below src. */
const importsOf = (file) =>
  ts
    .preProcessFile(read(file), true, true)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) =>
      relative(join(root, 'src'), join(root, dirname(file), name))
        .split(sep)
        .join('/'),
    )

/** Why an import is not allowed; undefined where it is. */
function fault(file, imported) {
  const from = file.split('/').slice(1)
  const to = imported.split('/')
  if (to[0] === '..') return undefined
  // Files beside the folders put everything together, and are used by none.
  if (to.length === 1) return from.length === 1 || isTest(file) ? undefined : 'no folder imports the composition'
  if (imported === 'search/reach.js' && from[0] !== 'search' && from[0] !== 'access' && !isTest(file))
    return 'only access/ makes a Reach'
  if (from.length === 1) return to[1] === 'index.js' || isTest(file) ? undefined : 'not through the door'
  if (from[0] === to[0]) return undefined
  if (!folders.includes(to[0])) return `src/${to[0]} is not in the list of folders`
  if (isTest(file)) return undefined
  if (folders.indexOf(to[0]) > folders.indexOf(from[0])) return `${from[0]} stands before ${to[0]}`
  return to[1] === 'index.js' || imported === 'search/reach.js' ? undefined : 'not through the door'
}

const faults = (files) =>
  files.flatMap((file) =>
    importsOf(file).flatMap((imported) => {
      const reason = fault(file, imported)
      return reason === undefined ? [] : [`${file} imports ${imported}: ${reason}`]
    }),
  )

describe('imports', () => {
  test('follow the order of the folders and go through their doors', () => expect(faults(sources)).toEqual([]))

  test('every folder under src stands in the list', () => {
    const found = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(found.map(({ name }) => name).filter((name) => !folders.includes(name))).toEqual([])
  })

  test.each([
    ['src/search/a.ts', 'store/index.js', 'search stands before store'],
    ['src/store/a.ts', 'search/parse.js', 'not through the door'],
    ['src/store/sqlite/a.ts', 'search/reach.js', 'only access/ makes a Reach'],
    ['src/rest/a.ts', 'server.js', 'no folder imports the composition'],
    ['src/server.ts', 'rest/handler.js', 'not through the door'],
    ['src/rest/a.ts', 'store/index.js', undefined],
    ['src/access/a.ts', 'search/reach.js', undefined],
    ['src/store/sqlite/a.ts', 'store/sqlite/b.js', undefined],
    ['src/store/a.test.ts', 'search/reach.js', undefined],
  ])('%s importing %s: %s', (file, imported, expected) => expect(fault(file, imported)).toBe(expected))
})

/** Interactions ask the store, and leave an event of it; nobody else does: docs/decisions/0030-one-event-each.md */
const asksStore = /\bstore\s*\.\s*(read|search|history|commit|changes|explain)\s*\(/

test('only interactions ask the store', () => {
  const asking = sources.filter(
    (file) => !/^src\/(store|interactions)\//.test(file) && !isTest(file) && asksStore.test(read(file)),
  )
  expect(asking).toEqual([])
})

test('every file begins by saying what it is', () => {
  const silent = [...sources, ...filesIn('scripts', /\.mjs$/)].filter((file) => {
    if (isTest(file) || /\/index\.ts$|\.test\.mjs$/.test(file)) return false
    const text = read(file).replace(/^#!.*\n/, '')
    return !/^\/\*\*\s*(\*\s)?\s*\S/.test(text)
  })
  expect(silent).toEqual([])
})

test('nothing is left to do later', () => {
  const marker = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['X', 'XX'].join('')})\\b`)
  const marked = [...sources, ...filesIn('scripts', /\.mjs$/), ...filesIn('docs', /\.md$/)].filter((file) =>
    marker.test(read(file)),
  )
  expect(marked).toEqual([])
})

test('links in documents lead somewhere', () => {
  const documents = ['README.md', ...filesIn('docs', /\.md$/)].filter((file) => existsSync(join(root, file)))
  const dead = documents.flatMap((file) =>
    [...read(file).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target)
      .filter((target) => !/^(https?:|mailto:|#)/.test(target))
      .filter((target) => !existsSync(join(root, dirname(file), target.split('#')[0])))
      .map((target) => `${file}: ${target}`),
  )
  expect(dead).toEqual([])
})
