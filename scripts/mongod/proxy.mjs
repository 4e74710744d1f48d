/**
 * A TCP proxy in front of a MongoDB, real or not, that loses, delays and cuts on demand.
 *
 * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 *
 * It knows just enough of the protocol to count commands and replies: the messages of drivers' own monitoring are not
 * counted. Clients connect with `directConnection=true`, or they would be told the address behind it.
 */
import { connect, createServer } from 'node:net'
import { parseMessage, splitter } from './wire.mjs'

const HOST = '127.0.0.1'

/** What drivers send on their own account. */
const OWN = new Set(['hello', 'isMaster', 'ismaster', 'ping', 'endSessions', 'killCursors'])

/**
 * What is to happen to one message: the reply is lost and the connection cut (the command was run), the request is lost and
 * the connection cut (it was not), either is lost and the connection stays silent, the reply is late, or something is done
 * before the request goes on.
 * @typedef {'cutReply' | 'cutRequest' | 'dropReply' | 'dropRequest' | { delayMs: number } | ((name: string) => Promise<unknown>)} Fate
 */

export class CuttingProxy {
  /** @param {{ port: number, host?: string }} target */
  constructor({ port, host = HOST }) {
    this.target = { port, host }
    this.sockets = new Set()
    /** names of the counted commands, in the order they came */
    this.commands = []
    /** the collection of each of them, where it names one */
    this.collections = []
    /** @type {Map<number, Fate>} by the number of the command, from 1 */
    this.fates = new Map()
    this.refusing = false
    this.silent = false
  }

  async listen() {
    this.listener = createServer((client) => this.#join(client))
    await new Promise((resolve) => this.listener.listen(0, HOST, resolve))
    this.port = this.listener.address().port
    return this
  }

  get url() {
    return `mongodb://${HOST}:${this.port}/?directConnection=true`
  }

  /** Begins to count from the next command; earlier plans are forgotten. */
  reset() {
    this.commands = []
    this.collections = []
    this.fates.clear()
  }

  /**
   * Plans what happens to the n-th counted command from now on.
   * @param {number} n from 1
   * @param {Fate} fate
   */
  plan(n, fate) {
    this.fates.set(n, fate)
  }

  /** Cuts every connection; new ones are refused until `up`. */
  down() {
    this.refusing = true
    for (const socket of this.sockets) socket.destroy()
  }

  /** Takes connections and bytes and lets nothing through, like a network that swallows everything, until `up`. */
  silence() {
    this.silent = true
  }

  up() {
    this.refusing = false
    // What was swallowed is missing in the middle of these.
    if (this.silent) for (const socket of this.sockets) socket.destroy()
    this.silent = false
  }

  async close() {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.listener.close(resolve))
  }

  #join(client) {
    if (this.refusing) {
      client.destroy()
      return
    }
    const server = connect(this.target.port, this.target.host)
    for (const socket of [client, server]) {
      this.sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => cut())
      socket.on('close', () => {
        this.sockets.delete(socket)
        cut()
      })
    }
    const cut = () => {
      client.destroy()
      server.destroy()
    }
    /** fates by the request id that the reply names */
    const awaited = new Map()
    const later = (socket, message, milliseconds) =>
      setTimeout(() => socket.destroyed || socket.write(message), milliseconds)
    const toServer = splitter((message) => {
      if (this.silent) return
      const { body } = parseMessage(message)
      const [name] = body.members().keys()
      if (OWN.has(name)) {
        server.write(message)
        return
      }
      this.commands.push(name)
      this.collections.push(body.get(name))
      const fate = this.fates.get(this.commands.length)
      if (typeof fate === 'function') fate(name).then(() => server.destroyed || server.write(message), cut)
      else if (fate === 'cutRequest') cut()
      else if (fate !== 'dropRequest') {
        if (fate !== undefined) awaited.set(message.readInt32LE(4), fate)
        server.write(message)
      }
    })
    const toClient = splitter((message) => {
      if (this.silent) return
      const fate = awaited.get(message.readInt32LE(8))
      if (fate === 'cutReply') cut()
      else if (fate === 'dropReply') return
      else if (fate !== undefined) later(client, message, fate.delayMs)
      else client.write(message)
    })
    client.on('data', toServer)
    server.on('data', toClient)
  }
}

/**
 * @param {{ port: number, host?: string }} target
 * @returns {Promise<CuttingProxy>}
 */
export const startProxy = (target) => new CuttingProxy(target).listen()
