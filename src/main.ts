#!/usr/bin/env node
/**
 * The command line: `hospitallink serve`, `load`, `reindex`, `check`, `backup`, `config`, `version`.
 *
 * Exit codes: 0 done, 1 something was refused or found wrong, 2 the command could not be carried out.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { doorOf, type Input } from './command.js'
import { askDoor, sentences } from './command-door.js'
import { type Config, ConfigError, readConfig, rows, written } from './config.js'
import type { Site, World } from './site.js'

const version = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version

const program = new Command('hospitallink')
  .description('A FHIR R4 server with which hospitals share the records of people living with HIV.')
  .version(version, '-v, --version', 'print the version')
  .helpOption('-h, --help', 'show help')
  .showHelpAfterError('(hospitallink --help shows what there is)')
  .addHelpText('after', '\nSettings are environment variables: "hospitallink config" shows them all with their values.')
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, '')) })
  .exitOverride(({ exitCode, code }) => process.exit(code === 'commander.helpDisplayed' || exitCode === 0 ? 0 : 2))

program
  .command('serve', { isDefault: false })
  .description('start the server')
  .option('--port <number>', 'port to listen on, as PORT')
  .option('--host <address>', 'address to listen on, as HOST')
  .option('--store <url>', 'where resources live, as STORE')
  .addOption(new Option('--hints', 'say what to try next').hideHelp())
  .addHelpText('after', '\nExample: hospitallink serve --port 8081 --store sqlite:./data/other.db')
  .action(serve)

program
  .command('load')
  .description('load files of FHIR data into a running server')
  .argument('<path...>', 'files or folders: .json, .ndjson, .xml, each also .gz; files named 0-* go first')
  .option('--to <url>', 'FHIR base of the server (default: BASE_URL, or http://localhost:PORT/fhir)')
  .option('--token <token>', 'bearer token to send, or @FILE with the token in it')
  .option('--jobs <number>', 'requests under way at the same time', jobs, 2)
  .addHelpText('after', '\nExample: hospitallink load ./synthea --to http://localhost:8080/fhir')
  .action(loadPaths)

program
  .command('reindex')
  .description('compute again what search knows, of all resources or of one type')
  .option('--type <type>', 'a resource type, such as Observation')
  .option('--tenant <name>', 'of another tenant than the default one')
  .action(reindex)

program
  .command('check')
  .description('compare the indexes, the history and the order of changes with the resources')
  .option('--tenant <name>', 'of another tenant than the default one')
  .action(check)

program
  .command('backup')
  .description('write a consistent copy of the store, also while the server runs')
  .argument('<file>', 'the new file')
  .action(backup)

const { commandGroups } = await import('./command-groups.js')
for (const { declare } of commandGroups) declare(program, run)

program.command('config').description('show every setting, its value and where it comes from').action(showConfig)

program
  .command('version')
  .description('print the versions of hospitallink, FHIR and Node')
  .action(async () => {
    const { fhirVersion } = await import('./fhir/index.js')
    console.log(`hospitallink ${version}, FHIR ${fhirVersion}, Node ${process.versions.node}`)
  })

function jobs(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 64)
    throw new InvalidArgumentError('It is a number from 1 to 64.')
  return number
}

type ServeOptions = { port?: string; host?: string; store?: string; hints?: true }

async function serve({ port, host, store, hints }: ServeOptions): Promise<void> {
  const config = readConfig({
    ...process.env,
    ...(port !== undefined && { HOSPITALLINK_PORT: port }),
    ...(host !== undefined && { HOSPITALLINK_HOST: host }),
    ...(store !== undefined && { HOSPITALLINK_STORE: store }),
  })
  const { startServer } = await import('./server.js')
  const server = await startServer(config)
  console.log(`hospitallink ${version} answers at ${server.baseUrl}`)
  const first = await server.firstAdministrator()
  if (first !== undefined)
    console.log(
      `\nThere is no administrator yet. This link makes the first one, once, within 72 hours:\n\n  ${first}\n`,
    )
  if (hints) console.log(hintsFor(server.baseUrl, config.auth === 'on'))
  let stopping = false
  const stop = (signal: string) => {
    // The second signal of an impatient person ends it at once.
    if (stopping) process.exit(1)
    stopping = true
    console.log(`${signal}: letting running requests end ...`)
    server.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    )
  }
  process.on('SIGINT', () => stop('SIGINT'))
  process.on('SIGTERM', () => stop('SIGTERM'))
}

const hintsFor = (baseUrl: string, isOn: boolean): string => `
Try in another terminal:

  curl ${baseUrl}/metadata
${isOn ? withTokens(baseUrl) : withoutTokens(baseUrl)}

Ctrl+C stops it; the data stay.`

const withoutTokens = (baseUrl: string): string => `\
  curl -X POST ${baseUrl}/Patient -H 'Content-Type: application/fhir+json' \\
    -d '{"resourceType":"Patient","name":[{"family":"Okello","given":["Grace"]}],"birthDate":"1988-04-12"}'
  curl '${baseUrl}/Patient?family=okello'
  npx hospitallink load FILE-OR-FOLDER`

const withTokens = (baseUrl: string): string => `\
  npx hospitallink fixtures > fixtures.env      # a hospital, a patient, and tokens for trying out
  curl ${baseUrl}/Patient -H "Authorization: Bearer $(sed -n s/^TOKEN_A=//p fixtures.env)"`

type LoadOptions = { to?: string; token?: string; jobs: number }

async function loadPaths(paths: string[], options: LoadOptions): Promise<void> {
  const { load } = await import('./load.js')
  const { progressOn } = await import('./progress.js')
  const config = options.to === undefined ? readConfig(process.env) : undefined
  const to = (options.to ?? config?.baseUrl ?? `http://localhost:${config?.port}/fhir`).replace(/\/+$/, '')
  if (!/^https?:\/\//.test(to))
    throw new ConfigError(`--to must be an absolute URL such as http://localhost:8080/fhir.`)
  const token = options.token?.startsWith('@') ? readFileSync(options.token.slice(1), 'utf8').trim() : options.token
  const progress = progressOn(process.stderr)
  const started = performance.now()
  const loaded = await load(paths, {
    to,
    jobs: options.jobs,
    ...(token !== undefined && { token }),
    onFile: (file, resources, done, total) => progress.step(basename(file), resources, done, total),
  }).finally(() => progress.end())
  const seconds = (performance.now() - started) / 1000
  for (const file of loaded.skipped) console.log(`skipped ${file}: no FHIR resource`)
  const types = Object.entries(loaded.counts).sort(([a], [b]) => (a < b ? -1 : 1))
  const sum = types.reduce((total, [, count]) => total + count, 0)
  for (const [type, count] of types) console.log(`${String(count).padStart(9)}  ${type}`)
  console.log(
    `${String(sum).padStart(9)}  resources of ${loaded.files} files in ${seconds.toFixed(1)} s (${Math.round(sum / seconds)}/s)`,
  )
  for (const { file, reason } of loaded.failures) console.error(`refused: ${file}: ${reason}`)
  if (loaded.failures.length) process.exitCode = 1
}

async function reindex({ type, tenant = 'default' }: { type?: string; tenant?: string }): Promise<void> {
  const { resourceTypes } = await import('./fhir/index.js')
  if (type !== undefined && !resourceTypes.includes(type)) throw new ConfigError(`R4 has no resource type "${type}".`)
  const { openSite } = await import('./site.js')
  const { reindexed } = await import('./interactions/index.js')
  const { progressOn } = await import('./progress.js')
  const site = await openSite(readConfig(process.env))
  const progress = progressOn(process.stderr)
  try {
    const world = await tenantOf(site, tenant)
    const counts = await world.context.store.maintenance.count()
    const types = (type === undefined ? resourceTypes : [type]).filter((each) => counts[each])
    const total = types.reduce((sum, each) => sum + counts[each]!, 0)
    let visited = 0
    for await (const place of reindexed(() => world.context, types)) {
      visited = place.visited
      progress.step(place.type, 0, visited, total)
    }
    progress.end()
    console.log(`${visited} resources indexed anew.`)
  } finally {
    progress.end()
    await site.close()
  }
}

async function tenantOf(site: Site, name: string): Promise<World> {
  const world = await site.world(name)
  if (!world) throw new ConfigError(`There is no tenant "${name}"; "hospitallink tenant list" shows them.`)
  return world
}

async function check({ tenant = 'default' }: { tenant?: string }): Promise<void> {
  const { openSite } = await import('./site.js')
  const { entriesOf } = await import('./interactions/index.js')
  const site = await openSite(readConfig(process.env))
  try {
    const world = await tenantOf(site, tenant)
    const findings = await world.context.store.maintenance.check(({ body }) => entriesOf(world.context, body))
    for (const finding of findings) console.log(finding)
    const counts = Object.values(await world.context.store.maintenance.count())
    const sum = counts.reduce((total, count) => total + count, 0)
    console.log(
      findings.length
        ? `${findings.length} findings; "hospitallink reindex" mends indexes.`
        : `${sum} resources, all in order.`,
    )
    if (findings.length) process.exitCode = 1
  } finally {
    await site.close()
  }
}

async function backup(file: string): Promise<void> {
  const { backupSqlite, StoreUnusable } = await import('./store/index.js')
  const { store } = readConfig(process.env)
  if (store.kind === 'mongodb')
    throw new StoreUnusable('MongoDB is backed up by its own tools, such as mongodump; docs/operating.md says how.')
  await backupSqlite(store.path, file)
  console.log(`A consistent copy is in ${file}.`)
}

/** By the server that runs on the store, or else by this process. */
async function run(action: string, input: Input): Promise<void> {
  const config = readConfig(process.env)
  const door = doorOf(config)
  const lines = (door !== undefined && (await askDoor(door, action, input))) || (await here(config, action, input))
  for (const line of lines) console.log(line)
}

async function here(config: Config, action: string, input: Input): Promise<string[]> {
  const { openSite } = await import('./site.js')
  const { actions } = await import('./command-groups.js')
  const { openLog } = await import('./log.js')
  const { operated } = await import('./operated.js')
  const site = await openSite(config)
  try {
    return await actions[action]!(operated(config, site, openLog({ ...config, logLevel: 'silent' })), input)
  } finally {
    await site.close()
  }
}

function showConfig(): void {
  readConfig(process.env)
  for (const row of rows) {
    const { text, from } = written(row, process.env)
    const shown = row.secret && from !== 'default' ? '(hidden)' : text === '' ? '(unset)' : (row.show?.(text) ?? text)
    console.log(`${row.variable.padEnd(20)} ${shown.padEnd(28)} ${from === 'default' ? '' : `from ${from}`}`.trimEnd())
    console.log(`${' '.repeat(21)}${row.sentence.replaceAll('`', '')} (${row.type.replaceAll('`', '')})`)
  }
}

/** What a person can act on is a sentence; anything else is a bug and comes with its stack. */
function fail(error: unknown): never {
  console.error(sentenceOf(error))
  process.exit(2)
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code, path, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string }
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} is in use: is the server running already? Take another with PORT=8081.`
    case 'EACCES':
    case 'EPERM':
      return path === undefined
        ? `Listening on ${address}:${port} is not allowed. Take a port above 1023, such as PORT=8080.`
        : `${path} cannot be used: permission denied.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST is no address of this machine.`
    case 'ENOENT':
      return `${path} does not exist.`
    default:
      return error instanceof ConfigError || error.name === 'Unreachable' || sentences.has(error.name)
        ? error.message
        : (error.stack ?? error.message)
  }
}

await program.parseAsync().catch(fail)
