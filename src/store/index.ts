export { type Anchor, type Finding, genesis, linkOf, Verifier, written } from './audit-chain.js'
export { type MongoOptions, openMongo } from './mongo/index.js'
export { backupSqlite, openSqlite, type SqliteOptions } from './sqlite/index.js'
export * from './store.js'
