/**
 * Commands about the server itself.
 *
 * https://www.mongodb.com/docs/manual/reference/command/nav-administration/
 */
import { freemem, totalmem } from 'node:os'
import { Long, ObjectId } from 'bson'
import { isPlain, numberOf } from '../bson.mjs'
import { refuse } from '../errors.mjs'
import { parseFilter } from '../filter.mjs'
import { matcher } from '../match.mjs'
import { wireVersionOf } from '../pose.mjs'
import { MESSAGE_BYTES_MAX } from '../wire.mjs'

/** It answers like this version where versions differ and the recorded answers leave it open. */
const VERSION = [7, 0, 0, 0]
const versionOf = ({ pose }) => (pose.version ? [...pose.version.split('.').map(Number), 0] : VERSION)

/** `hello`, and what it was called before. */
const hello = (older) => ({
  fields: [
    'helloOk',
    'client',
    'compression',
    'loadBalanced',
    'saslSupportedMechs',
    'speculativeAuthenticate',
    'topologyVersion',
    'maxAwaitTimeMS',
    'hostInfo',
    'internalClient',
    'forShell',
    'backpressure',
  ],
  inTransaction: 'no',
  anyState: true,
  run({ server, connection }, body) {
    if (isPlain(body.client)) connection.appName = body.client.application?.name
    const primary = !server.steppedDown
    const time = server.store.now()
    const date = new Date(Date.now() + (server.pose.skewMs ?? 0))
    const opTime = { ts: time, t: Long.fromNumber(server.election) }
    const member = {
      hosts: [server.address],
      setName: server.setName,
      setVersion: 1,
      secondary: !primary,
      ...(primary ? { primary: server.address, electionId: server.electionId } : {}),
      me: server.address,
      lastWrite: { opTime, lastWriteDate: date, majorityOpTime: opTime, majorityWriteDate: date },
    }
    return {
      helloOk: true,
      ...(older ? { ismaster: primary } : { isWritablePrimary: primary }),
      ...(server.pose.standalone ? {} : member),
      maxBsonObjectSize: 16 * 1024 * 1024,
      maxMessageSizeBytes: MESSAGE_BYTES_MAX,
      maxWriteBatchSize: 100_000,
      localTime: date,
      logicalSessionTimeoutMinutes: 30,
      connectionId: connection.id,
      minWireVersion: 0,
      maxWireVersion: wireVersionOf(versionOf(server).join('.')),
      readOnly: false,
    }
  },
})

const buildInfo = {
  fields: [],
  anyState: true,
  run: ({ server }) => ({
    version: versionOf(server).slice(0, 3).join('.'),
    versionArray: versionOf(server),
    gitVersion: 'stand-in',
    modules: ['stand-in'],
    storageEngines: ['memory'],
    bits: 64,
    debug: false,
    maxBsonObjectSize: 16 * 1024 * 1024,
  }),
}

const databaseOf = (namespace) => namespace.slice(0, namespace.indexOf('.'))

export const admin = {
  hello: hello(false),
  isMaster: hello(true),
  ismaster: hello(true),
  buildInfo,
  buildinfo: buildInfo,

  ping: { fields: [], anyState: true, run: () => ({}) },

  connectionStatus: {
    fields: ['showPrivileges'],
    anyState: true,
    run: () => ({ authInfo: { authenticatedUsers: [], authenticatedUserRoles: [], authenticatedUserPrivileges: [] } }),
  },

  serverStatus: {
    fields: ['repl', 'metrics', 'locks', 'tcmalloc', 'wiredTiger', 'opcounters', 'connections', 'mem', 'network'],
    anyState: true,
    run({ server, store }) {
      const uptime = (Date.now() - server.started) / 1000
      const counted = (...names) => names.reduce((sum, name) => sum + (server.counts.get(name) ?? 0), 0)
      return {
        host: server.address,
        version: VERSION.slice(0, 3).join('.'),
        process: 'stand-in',
        pid: Long.fromNumber(process.pid),
        uptime,
        uptimeMillis: Long.fromNumber(Math.round(uptime * 1000)),
        localTime: new Date(),
        connections: { current: server.connections.size, available: 1000, totalCreated: server.nextConnection - 1 },
        opcounters: {
          insert: counted('insert'),
          query: counted('find'),
          update: counted('update'),
          delete: counted('delete'),
          getmore: counted('getMore'),
          command: counted(...server.counts.keys()),
        },
        transactions: { currentOpen: store.transactions.size },
        storageEngine: { name: 'memory', supportsCommittedReads: true, persistent: false },
        repl: {
          setName: server.setName,
          isWritablePrimary: !server.steppedDown,
          hosts: [server.address],
          me: server.address,
        },
        mem: { bits: 64, resident: Math.round(process.memoryUsage().rss / 2 ** 20) },
      }
    },
  },

  hostInfo: {
    fields: [],
    anyState: true,
    run: () => ({
      system: {
        currentTime: new Date(),
        memSizeMB: Math.round(totalmem() / 2 ** 20),
        memFreeMB: Math.round(freemem() / 2 ** 20),
      },
    }),
  },

  getParameter: {
    fields: [
      'allParameters',
      'notablescan',
      'transactionLifetimeLimitSeconds',
      'ttlMonitorSleepSecs',
      'featureCompatibilityVersion',
    ],
    admin: true,
    run({ server }, { getParameter, allParameters, $db, lsid, $clusterTime, $readPreference, ...names }) {
      const all = { ...server.parameters, featureCompatibilityVersion: { version: VERSION.slice(0, 2).join('.') } }
      if (getParameter === '*' || allParameters) return all
      return Object.fromEntries(Object.keys(names).map((name) => [name, all[name]]))
    },
  },

  setParameter: {
    fields: ['notablescan', 'transactionLifetimeLimitSeconds', 'ttlMonitorSleepSecs'],
    unknownField: 72,
    admin: true,
    run({ server }, body) {
      let was
      for (const name of Object.keys(server.parameters)) {
        if (body[name] === undefined) continue
        was = server.parameters[name]
        server.parameters[name] = typeof was === 'boolean' ? Boolean(body[name]) : numberOf(body[name])
      }
      return { was }
    },
  },

  configureFailPoint: {
    fields: ['mode', 'data'],
    admin: true,
    anyState: true,
    run({ server }, body) {
      server.failPoints.configure(body)
      return {}
    },
  },

  getCmdLineOpts: { fields: [], admin: true, run: () => ({ argv: ['mongod'], parsed: {} }) },

  currentOp: { fields: ['$all', '$ownOps'], admin: true, run: () => ({ inprog: [] }) },

  replSetGetStatus: {
    fields: [],
    admin: true,
    anyState: true,
    run({ server, store }) {
      const [myState, stateStr] = server.steppedDown ? [2, 'SECONDARY'] : [1, 'PRIMARY']
      const optime = { ts: store.now(), t: Long.fromNumber(server.election) }
      return {
        set: server.setName,
        date: new Date(),
        myState,
        term: Long.fromNumber(server.election),
        members: [
          {
            _id: 0,
            name: server.address,
            health: 1,
            state: myState,
            stateStr,
            optime,
            optimeDate: new Date(),
            self: true,
          },
        ],
      }
    },
  },

  replSetGetConfig: {
    fields: [],
    admin: true,
    run: ({ server }) => ({
      config: { _id: server.setName, version: 1, members: [{ _id: 0, host: server.address, priority: 1, votes: 1 }] },
    }),
  },

  /** The primary gives up its office for some seconds and then takes it again: open transactions end. */
  replSetStepDown: {
    fields: ['secondaryCatchUpPeriodSecs', 'force'],
    admin: true,
    run({ server }, body) {
      const seconds = numberOf(body.replSetStepDown)
      if (seconds === undefined || seconds < 0) refuse(2, 'stepdown period must be a non-negative integer')
      if (body.force !== true)
        refuse(
          262,
          'No electable secondaries caught up as of now. Please use the replSetStepDown command with the argument {force: true} to force node to step down.',
        )
      server.sessions.abortAll()
      server.steppedDownUntil = Date.now() + seconds * 1000
      server.election++
      server.electionId = new ObjectId(`7fffffff${String(server.election).padStart(16, '0')}`)
      return {}
    },
  },

  listDatabases: {
    fields: ['filter', 'nameOnly', 'authorizedDatabases'],
    admin: true,
    run({ store }, { filter = {}, nameOnly }) {
      const sizes = new Map()
      for (const [namespace, collection] of store.main.collections) {
        const name = databaseOf(namespace)
        sizes.set(name, (sizes.get(name) ?? 0) + collection.bytes)
      }
      const test = matcher(parseFilter(filter))
      const databases = [...sizes]
        .map(([name, bytes]) => (nameOnly ? { name } : { name, sizeOnDisk: Long.fromNumber(bytes), empty: false }))
        .filter(test)
        .sort((a, b) => (a.name < b.name ? -1 : 1))
      const total = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
      return nameOnly
        ? { databases }
        : { databases, totalSize: Long.fromNumber(total), totalSizeMb: Long.fromNumber(Math.round(total / 2 ** 20)) }
    },
  },
}
