/**
 * A file beside the store that makes appended audit entries durable without holding up the event loop.
 *
 * https://man7.org/linux/man-pages/man2/open.2.html (O_DSYNC)
 *
 * What is written here is soon taken over into the store, and then the file is written from its beginning again. It is
 * made long at first, so that writing changes no more than bytes. What was written and not taken over when the process
 * ended is read again at the next start; a write that was cut off was never acknowledged, and its checksum tells.
 */
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  write,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'

/** `number` only ever grows. */
export type Appended = { tenant: string; number: number; bytes: Buffer }

/** The operation on the file that can fail; tests replace it. Durable when resolved. */
export type Disk = { write(fd: number, bytes: Buffer, position: number): Promise<void> }

/** Windows has no way to open a file so that every write is synced: there it is done after each. */
const syncedWrites: number | undefined = constants.O_DSYNC

export const disk: Disk = {
  write: async (fd, bytes, position) => {
    for (let at = 0; at < bytes.length; )
      at += await new Promise<number>((resolve, reject) => {
        write(fd, bytes, at, bytes.length - at, position + at, (error, n) => (error ? reject(error) : resolve(n)))
      })
    if (syncedWrites === undefined)
      await new Promise<void>((resolve, reject) => {
        fdatasync(fd, (error) => (error ? reject(error) : resolve()))
      })
  },
}

const sizeAtFirst = 512 * 1024
const magic = 0x54494441
/** What precedes a write: magic, length, checksum. */
const headSize = 12
/** What precedes an entry: its number, its length, the length of the tenant's name. */
const entryHeadSize = 13

export class AuditFile {
  private fd: number | undefined
  /** Where the next write goes. */
  position = 0

  constructor(
    private readonly path: string,
    private readonly disk: Disk,
  ) {}

  /** What is whole in the file, and may be taken over already. */
  read(): Appended[] {
    const { appended, end } = readAppended(this.path)
    this.position = end
    return appended
  }

  /** Durable when resolved. `anew`: nothing in the file is needed any more. */
  async write(appended: readonly Appended[], anew: boolean): Promise<void> {
    this.fd ??= openLong(this.path)
    const bytes = frame(appended)
    const position = anew ? 0 : this.position
    await this.disk.write(this.fd, bytes, position)
    this.position = position + bytes.length
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
  }
}

/** What is whole in a file of appends; also of a store that another process has open. */
export function readAppended(path: string): { appended: Appended[]; end: number } {
  const appended: Appended[] = []
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
  let at = 0
  while (at + headSize <= bytes.length && bytes.readUInt32LE(at) === magic) {
    const payload = bytes.subarray(at + headSize, at + headSize + bytes.readUInt32LE(at + 4))
    if (payload.length !== bytes.readUInt32LE(at + 4) || crc32(payload) !== bytes.readUInt32LE(at + 8)) break
    appended.push(...unframe(payload))
    at += headSize + payload.length
  }
  return { appended, end: at }
}

function frame(appended: readonly Appended[]): Buffer {
  const size = appended.reduce((sum, { tenant, bytes }) => sum + entryHeadSize + tenant.length + bytes.length, headSize)
  const whole = Buffer.allocUnsafe(size)
  let at = headSize
  for (const { tenant, number, bytes } of appended) {
    whole.writeDoubleLE(number, at)
    whole.writeUInt32LE(bytes.length, at + 8)
    whole.writeUInt8(tenant.length, at + 12)
    // Names of tenants are ASCII and at most 64 characters.
    whole.write(tenant, at + entryHeadSize, 'latin1')
    whole.set(bytes, at + entryHeadSize + tenant.length)
    at += entryHeadSize + tenant.length + bytes.length
  }
  const payload = whole.subarray(headSize)
  whole.writeUInt32LE(magic, 0)
  whole.writeUInt32LE(payload.length, 4)
  whole.writeUInt32LE(crc32(payload), 8)
  return whole
}

function unframe(payload: Buffer): Appended[] {
  const appended: Appended[] = []
  for (let at = 0; at < payload.length; ) {
    const number = payload.readDoubleLE(at)
    const length = payload.readUInt32LE(at + 8)
    const start = at + entryHeadSize + payload.readUInt8(at + 12)
    const tenant = payload.toString('latin1', at + entryHeadSize, start)
    appended.push({ tenant, number, bytes: payload.subarray(start, start + length) })
    at = start + length
  }
  return appended
}

/** Opens the file, made long if it is new; its name is durable too. */
function openLong(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | (syncedWrites ?? 0), 0o600)
  const { size } = fstatSync(fd)
  if (size < sizeAtFirst) {
    writeSync(fd, Buffer.alloc(sizeAtFirst - size), 0, sizeAtFirst - size, size)
    fsyncSync(fd)
    // Windows knows no such thing as a folder that is synced.
    if (process.platform !== 'win32') {
      const folder = openSync(dirname(path), 'r')
      fsyncSync(folder)
      closeSync(folder)
    }
  }
  return fd
}
