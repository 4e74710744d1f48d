export { backupSqlite } from './backup.js'
export { openSqlite, type SqliteOptions } from './open.js'
