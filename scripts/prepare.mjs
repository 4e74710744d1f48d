/**
 * Makes a fresh machine able to run: Node's version, packages, the native store, the build. Plain Node, no packages.
 *
 * Each step is skipped when nothing changed, so that starting twice costs nothing.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

/** A sentence to the person at the terminal; not into what other programs read. */
const say = (sentence) => process.stderr.write(`${sentence}\n`)

export function checkNode(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  say(`hospitallink needs Node 20.19 or newer, and this is ${version}. Get one at https://nodejs.org and start again.`)
  process.exit(1)
}

/** Installs packages when those there are not the ones of the lockfile. */
export function ensurePackages() {
  if (!isInstalled()) {
    say('Installing packages (once; a few minutes where the embedded store must be compiled) ...')
    run(npm, ['ci', '--no-audit', '--no-fund'])
  }
  ensureNativeStore()
}

/** Versions are compared and not times, which say nothing after a checkout. */
function isInstalled() {
  const [wanted, installed] = ['package-lock.json', 'node_modules/.package-lock.json'].map((name) => {
    const path = join(root, name)
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined
  })
  if (!wanted || !installed) return false
  return Object.entries(wanted).every(
    ([path, { version, optional, devOptional, peer }]) =>
      path === '' || optional || devOptional || peer || installed[path]?.version === version,
  )
}

/** Packages installed under another version of Node hold a native module that this one cannot load. */
function ensureNativeStore() {
  if (canLoadStore()) return
  say(`Building the embedded store for Node ${process.versions.node} (once) ...`)
  run(npm, ['rebuild', 'better-sqlite3'])
  if (!canLoadStore()) {
    say(
      `The embedded store (better-sqlite3) cannot be loaded by Node ${process.versions.node}. Where no prebuilt binary`,
    )
    say('can be downloaded, building it needs a C++ compiler, make, Python and the headers of this version of Node:')
    say('on Debian and Ubuntu, apt-get install build-essential python3.')
    process.exit(1)
  }
}

/** Asked of another process: a module that failed to load, or crashed, is not tried twice in one. */
function canLoadStore() {
  try {
    const script = 'const D=require(process.argv[1]);new D(":memory:").close()'
    const path = createRequire(join(root, 'package.json')).resolve('better-sqlite3')
    execFileSync(process.execPath, ['-e', script, path], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Compiles src/ to dist/ when something there is newer than the last build. */
export function ensureBuild() {
  const source = join(root, 'src')
  if (!existsSync(source)) return
  const built = newest(join(root, 'dist'), (name) => name.endsWith('.js'))
  const changed = Math.max(
    newest(source, (name) => name.endsWith('.ts')),
    statSync(join(root, 'tsconfig.json')).mtimeMs,
    statSync(join(root, 'tsconfig.build.json')).mtimeMs,
  )
  if (existsSync(join(root, 'dist', 'main.js')) && built >= changed) return
  say('Building ...')
  run(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    'tsconfig.build.json',
    '--incremental',
    'false',
  ])
}

function newest(folder, wanted) {
  if (!existsSync(folder)) return 0
  return readdirSync(folder, { recursive: true })
    .filter(wanted)
    .reduce((time, name) => Math.max(time, statSync(join(folder, name)).mtimeMs), 0)
}

function run(command, parameters) {
  try {
    // What installing and building say goes to stderr: `hospitallink config | grep` must see its own output only.
    execFileSync(command, parameters, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' })
  } catch (error) {
    say(`"${[command, ...parameters].join(' ')}" failed; what it said is above.`)
    process.exit(typeof error.status === 'number' ? error.status : 1)
  }
}
