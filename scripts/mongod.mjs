#!/usr/bin/env node
/**
 * Starts the stand-in for MongoDB by hand: `npm run mongod -- --port 27017`.
 *
 * Everything is in memory and gone when it ends.
 */
import { parseArgs } from 'node:util'
import { startMongod } from './mongod/server.mjs'

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } })
const mongod = await startMongod({ port: Number(values.port) })
console.log(mongod.url)

for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, async () => {
    await mongod.close()
    process.exit(0)
  })
