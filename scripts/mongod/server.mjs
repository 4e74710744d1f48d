/**
 * A stand-in for MongoDB that speaks its wire protocol: a replica set of one, in memory, on the loopback interface only.
 *
 * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 *
 * For development and tests where no `mongod` is at hand. What it does it does as a server does it (see behaviour.test.mjs);
 * what it does not do it refuses.
 */
import { createServer } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'
import { ObjectId } from 'bson'
import { answer } from './command.mjs'
import { Cursors } from './cursors.mjs'
import { CommandError } from './errors.mjs'
import { FailPoints } from './failpoints.mjs'
import { Sessions } from './sessions.mjs'
import { Snapshots } from './snapshots.mjs'
import { Store } from './store.mjs'
import { expireDocuments } from './ttl.mjs'
import { ProtocolError, parseMessage, replyTo, splitter } from './wire.mjs'

const HOST = '127.0.0.1'

export class Server {
  /** @param {{ setName?: string, quiet?: boolean, pose?: import('./pose.mjs').Pose, tls?: object }} options */
  constructor({ setName = 'rs0', quiet = false, pose = {}, tls } = {}) {
    this.setName = setName
    this.quiet = quiet
    this.pose = pose
    this.tls = tls
    this.store = new Store()
    this.sessions = new Sessions()
    this.cursors = new Cursors()
    this.failPoints = new FailPoints()
    this.snapshots = new Snapshots(this.store)
    this.parameters = { notablescan: false, transactionLifetimeLimitSeconds: 60, ttlMonitorSleepSecs: 60 }
    this.started = Date.now()
    this.electionId = new ObjectId('7fffffff0000000000000001')
    this.election = 1
    this.steppedDownUntil = 0
    /** how often each command was run */
    this.counts = new Map()
    /** what a user without the right for it asked for */
    this.forbidden = []
    this.connections = new Set()
    this.nextConnection = 1
  }

  get steppedDown() {
    return Date.now() < this.steppedDownUntil
  }

  get address() {
    return `${HOST}:${this.port}`
  }

  listen(port) {
    const accept = (socket) => this.#accept(socket)
    this.listener = this.tls ? createSecureServer(this.tls, accept) : createServer(accept)
    return new Promise((resolve, reject) => {
      this.listener.once('error', reject)
      this.listener.listen(port, HOST, () => {
        this.port = this.listener.address().port
        this.#expireLater()
        resolve(this.port)
      })
    })
  }

  async close() {
    clearTimeout(this.expiry)
    this.sessions.abortAll()
    for (const { socket } of this.connections) socket.destroy()
    await new Promise((resolve) => this.listener.close(resolve))
  }

  #expireLater() {
    this.expiry = setTimeout(() => {
      expireDocuments(this.store)
      this.#expireLater()
    }, this.parameters.ttlMonitorSleepSecs * 1000)
    this.expiry.unref()
  }

  #accept(socket) {
    const connection = { id: this.nextConnection++, socket, appName: undefined }
    this.connections.add(connection)
    socket.setNoDelay(true)
    let last = Promise.resolve()
    const onMessage = (message) => {
      const request = parseMessage(message)
      // One connection's commands are answered in their order, whatever one of them waits for.
      last = last.then(() => this.#serve(connection, request))
    }
    const feed = splitter(onMessage)
    socket.on('data', (chunk) => {
      try {
        feed(chunk)
      } catch (error) {
        if (!(error instanceof ProtocolError || error instanceof CommandError || error instanceof RangeError))
          throw error
        socket.destroy()
      }
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.connections.delete(connection))
  }

  async #serve(connection, request) {
    const { socket } = connection
    if (socket.destroyed) return
    const reply = await answer(this, connection, request).catch((error) => {
      // The body was no BSON: there is nothing that could be answered.
      if (error instanceof CommandError || error instanceof RangeError) return 'close'
      throw error
    })
    if (reply === 'close') {
      socket.destroy()
      return
    }
    if (request.silent || socket.destroyed) return
    socket.write(replyTo(request, reply))
  }
}

/**
 * Starts a stand-in on a free port of the loopback interface.
 * `tls` are the options of Node's TLS server: key, certificate and, where clients must show one, the authority of theirs.
 * @param {{ port?: number, setName?: string, quiet?: boolean, pose?: import('./pose.mjs').Pose, tls?: object }} [options]
 * @returns {Promise<{ url: string, port: number, server: Server, close: () => Promise<void> }>}
 */
export async function startMongod({ port = 0, setName = 'rs0', quiet = false, pose = {}, tls } = {}) {
  const server = new Server({ setName, quiet, pose, tls })
  await server.listen(port)
  return {
    url: `mongodb://${HOST}:${server.port}/${pose.standalone ? '' : `?replicaSet=${setName}`}`,
    port: server.port,
    server,
    close: () => server.close(),
  }
}
