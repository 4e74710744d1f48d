/**
 * `npm run test:mongodb`: the suites that concern MongoDB, on a real one or not at all.
 *
 * The one at MONGODB_URL (a replica set; with `--setParameter enableTestCommands=1`, or the fault suites cannot fail
 * anything), else a `mongod` in MONGOMS_SYSTEM_BINARY or on the PATH, else one that is fetched where the network allows.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { MongoClient } from 'mongodb'
import { checkNode, ensureBuild, ensurePackages, root } from './prepare.mjs'

checkNode()
ensurePackages()
ensureBuild()

/** What is fetched where nothing else is named; any from 6.0 on will do. */
const version = process.env.MONGOMS_VERSION ?? '8.0.4'
const mongod = await found().catch((error) => giveUp(String(error.message ?? error).split('\n')[0]))
await describeServer(mongod.url)

const jest = [
  '--experimental-vm-modules',
  '--no-warnings',
  join(root, 'node_modules/jest/bin/jest.js'),
  // Fail points are the server's, not a connection's.
  '--runInBand',
]
const runs = [
  [['src/store/mongo', 'src/engines', 'src/mongo-', ...process.argv.slice(2)], {}],
  [['conformance-tests/', '--testPathIgnorePatterns', 'official/'], { TEST_STORE: mongod.url }],
]
let failed = false
for (const [paths, environment] of runs) {
  const { status } = spawnSync(process.execPath, [...jest, ...paths], {
    cwd: root,
    env: { ...process.env, MONGODB_URL: mongod.url, ...environment },
    stdio: 'inherit',
  })
  failed ||= status !== 0
}
await mongod.close()
process.exit(failed ? 1 : 0)

/** @returns {Promise<{ url: string, close: () => Promise<void> }>} */
async function found() {
  const given = process.env.MONGODB_URL
  if (given) return { url: given, close: async () => {} }
  const { MongoBinary, MongoMemoryReplSet } = await import('mongodb-memory-server-core')
  const systemBinary =
    process.env.MONGOMS_SYSTEM_BINARY ?? onPath('mongod') ?? (await MongoBinary.getPath({ version, checkMD5: true }))
  const set = await MongoMemoryReplSet.create({
    binary: { systemBinary, version },
    replSet: { name: 'rs0', count: 1, storageEngine: 'wiredTiger' },
    instanceOpts: [{ args: ['--setParameter', 'enableTestCommands=1'], ip: '127.0.0.1' }],
  })
  return { url: set.getUri(), close: () => set.stop() }
}

function onPath(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** The stand-in is not what was asked for, also where MONGODB_URL names it. */
async function describeServer(url) {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 10_000 })
  try {
    const { version: running, modules } = await client.db('admin').command({ buildInfo: 1 })
    if (modules.includes('stand-in')) throw new Error('MONGODB_URL names the stand-in, which is no MongoDB')
    console.log(`MongoDB ${running}`)
  } catch (error) {
    await mongod.close()
    giveUp(error.message)
  } finally {
    await client.close()
  }
}

function giveUp(reason) {
  console.error(
    `There is no MongoDB to test on: ${reason}.\n` +
      'Set MONGODB_URL to a replica set (mongod --replSet rs0 --setParameter enableTestCommands=1), put a mongod on the PATH,\n' +
      'or run this where https://fastdl.mongodb.org can be reached. "npm test" runs the same suites on the stand-in.',
  )
  process.exit(2)
}
