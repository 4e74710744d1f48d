export { type MongoOptions, openMongo } from './mongo/index.js'
export { backupSqlite, openSqlite, type SqliteOptions } from './sqlite/index.js'
export * from './store.js'
