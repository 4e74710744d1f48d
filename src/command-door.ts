/**
 * The door through which a running server carries out commands for `hospitallink` on the same machine.
 *
 * https://nodejs.org/docs/latest-v20.x/api/net.html#identifying-paths-for-ipc-connections
 *
 * It is a socket in the file system beside the store, which only the user of the server may open: who can open it could
 * open the store as well. Nothing of it can be reached over the network or by a browser.
 */
import { unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type Action, CommandRefused, type Input, type Operated } from './command.js'
import { readText } from './read-text.js'

/** Names of errors whose message is a sentence for the person who gave the command. */
export const sentences = new Set([
  'CommandRefused',
  'StoreUnusable',
  'RegistrationRefused',
  'MintRefused',
  'AccountRefused',
  'PasswordRefused',
])

/** Most bytes of a command and of its answer: a file of callers. */
const sizeMax = 64 * 1024 * 1024

/** The length a path to a socket may have on every system. */
const pathMax = 100

export type Door = { close(): Promise<void> }

export type DoorOptions = {
  operated: Operated
  actions: Readonly<Record<string, Action>>
  report(error: unknown): void
}

/** undefined where there can be no door: the path is too long, or the file system has no sockets. */
export async function openDoor(path: string, options: DoorOptions): Promise<Door | undefined> {
  if (process.platform === 'win32' || Buffer.byteLength(path) > pathMax) return undefined
  const server = createServer((request, response) => void answer(options, request, response))
  // A server that was killed left its socket behind. The store is ours, so nobody listens there.
  unlink(path)
  const mask = process.umask(0o077)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
  } catch (error) {
    options.report(error)
    return undefined
  } finally {
    process.umask(mask)
  }
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
  }
}

function unlink(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

async function answer(
  { operated, actions, report }: DoorOptions,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const say = (status: number, body: object) => {
    response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' }).end(JSON.stringify(body))
  }
  try {
    const { action, input } = JSON.parse(await readText(incoming, sizeMax)) as { action: string; input: Input }
    const carryOut = Object.hasOwn(actions, action) ? actions[action] : undefined
    if (!carryOut) throw new CommandRefused('The running server is of another version and does not know this command.')
    say(200, { lines: await carryOut(operated, input) })
  } catch (error) {
    const isSentence = error instanceof Error && sentences.has(error.name)
    if (!isSentence) report(error)
    say(isSentence ? 400 : 500, {
      sentence: isSentence ? error.message : 'The running server failed; its log has the reason.',
    })
  }
}

/** What a running server answers; undefined where none is there. @throws CommandRefused */
export async function askDoor(path: string, action: string, input: Input): Promise<string[] | undefined> {
  const asked = request({
    socketPath: path,
    path: '/',
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asked.once('response', resolve)
    asked.once('error', reject)
  })
  asked.end(JSON.stringify({ action, input }))
  try {
    const response = await answered
    const { lines, sentence } = JSON.parse(await readText(response, sizeMax)) as { lines?: string[]; sentence?: string }
    if (!lines) throw new CommandRefused(sentence ?? 'The running server did not understand.')
    return lines
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK') return undefined
    if (code === 'EACCES')
      throw new CommandRefused(`A server runs on this store as another user; give the command as that user.`)
    throw error
  }
}
