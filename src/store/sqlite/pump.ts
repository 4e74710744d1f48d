/**
 * Group commit: what waits is applied together and made durable by one write to the disk.
 *
 * https://www.sqlite.org/lang_savepoint.html
 *
 * Each commit stands in a savepoint of its own, so that one that is refused is rolled back alone. Nobody is answered
 * before the group is on disk. A large commit lets other work through between its changes; readers have a connection
 * of their own and never see what is not committed.
 */
import type { Commit, Committed } from '../store.js'
import type { Connection } from './connection.js'
import type { FullText } from './full-text.js'
import { raw } from './sql.js'
import type { Prepared, Writer } from './writer.js'

type Waiting = {
  work: () => Generator<void, unknown>
  soon: boolean
  resolve: (value: never) => void
  reject: (error: unknown) => void
}

/** What is remembered of the file. */
export type Kept = {
  /** What was done since the last mark stays. */
  mark(): void
  /** What was done since the last mark was rolled back. */
  rollback(): void
  /** A whole group was lost: all is read again. */
  reload(): void
  /** The last work of a group, inside its transaction. */
  seal(): void
  /** The group was committed; `soon`: it is on disk when a later one is. */
  committed(soon: boolean): void
}

/** How long a large commit works before it lets others have their turn. */
const sliceMs = 12
/** A group that has worked so long is made durable before more is taken in. */
const groupMs = 60
/** So many changes are prepared at once: some 10 ms. */
const portion = 200
/** How long nobody writes before what can wait is done. */
const idleMs = 250

function* steps<T>(work: () => T): Generator<void, T> {
  yield
  return work()
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const statements = {
  begin: raw('BEGIN IMMEDIATE'),
  commit: raw('COMMIT'),
  rollback: raw('ROLLBACK'),
  savepoint: raw('SAVEPOINT one'),
  release: raw('RELEASE one'),
  undo: raw('ROLLBACK TO one'),
}

export class Pump {
  private waiting: Waiting[] = []
  private running: Promise<void> | undefined
  private closed = false
  private idle: NodeJS.Timeout | undefined
  private indexing: Promise<void> | undefined
  /** A group was lost, and with it what the writer remembers. */
  private stale = false
  private unsynced = false
  /** Something was written that is folded into the file when nobody writes; what is only read leaves too little. */
  private untidy = false
  /** Why the last group was lost, if it was. */
  failure: string | undefined

  constructor(
    private readonly db: Connection,
    /** What must be rolled back, or read again, together with the file. */
    private readonly kept: Kept,
    private readonly fullText: FullText,
    private readonly wordingMax: number,
  ) {
    if (fullText.waiting) this.untidy = true
    if (this.untidy) this.tidyLater()
  }

  /** A large commit is prepared in portions, between which others commit; itself it is one. */
  async commit(writer: Writer, commit: Commit): Promise<Committed[]> {
    const { changes } = commit
    if (changes.length <= portion)
      return this.run(() =>
        writer.apply(
          commit,
          changes.map((change) => writer.prepare(change)),
        ),
      )
    const prepared: (Prepared | undefined)[] = []
    for (let i = 0; i < changes.length; i += portion) {
      const some = changes.slice(i, i + portion)
      prepared.push(...(await this.once(() => some.map((change) => writer.prepare(change)))))
    }
    return this.run(() => writer.apply(commit, prepared))
  }

  /** Any work on the writer, as atomic and as durable as a commit. */
  run<T>(work: () => Generator<void, T>, soon = false): Promise<T> {
    if (this.closed) return Promise.reject(new Error('the store is closed'))
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ work, soon, resolve, reject })
      this.running ??= this.pump()
    })
  }

  /** The same for work in one step. */
  once<T>(work: () => T): Promise<T> {
    return this.run(() => steps(work))
  }

  /** A group with nothing of its own; `soon`: it is on disk when a later one is, at the latest after a checkpoint. */
  empty(soon: boolean): Promise<void> {
    return this.run(() => steps(() => undefined), soon)
  }

  /** Waits for what was handed in; nothing is taken after. */
  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.idle)
    await this.running
  }

  private async pump(): Promise<void> {
    // One turn of the loop, so that requests that arrived together ride together.
    await turn()
    while (this.waiting.length) {
      await this.group()
      if (this.fullText.waiting > this.wordingMax && !this.failure) this.indexing ??= this.index()
      if (this.waiting.length) await turn()
    }
    this.running = undefined
    if (!this.closed && this.untidy) this.tidyLater()
  }

  /** When nobody has written for a while, full texts are indexed, then the log is folded into the file. */
  private tidyLater(): void {
    clearTimeout(this.idle)
    this.idle = setTimeout(() => {
      if (this.running || this.closed) return
      if (this.fullText.waiting && !this.failure) this.indexing ??= this.index()
      else {
        this.untidy = false
        this.db.db.pragma('wal_checkpoint(TRUNCATE)')
      }
    }, idleMs).unref()
  }

  /** A batch of full texts, as work among the rest; what fails is tried again after the next write. */
  private async index(): Promise<void> {
    await this.run(() => this.fullText.index()).catch(() => undefined)
    this.indexing = undefined
  }

  /** Nothing that must be on disk joins a group that is not synced. */
  private next(soon: boolean): Waiting | undefined {
    return soon && !this.waiting[0]?.soon ? undefined : this.waiting.shift()
  }

  private synchronize(soon: boolean): void {
    if (soon === this.unsynced) return
    this.db.db.pragma(`synchronous = ${soon ? 'NORMAL' : 'FULL'}`)
    this.unsynced = soon
  }

  private async group(): Promise<void> {
    const settled: (() => void)[] = []
    const taken: Waiting[] = []
    try {
      if (this.stale) this.kept.reload()
      this.stale = false
      const soon = this.waiting.every((each) => each.soon)
      this.synchronize(soon)
      this.db.run(statements.begin)
      const start = performance.now()
      let slice = start
      for (let next = this.waiting.shift(); next; next = this.next(soon)) {
        taken.push(next)
        const { work, resolve, reject } = next
        this.db.run(statements.savepoint)
        try {
          const steps = work()
          let step = steps.next()
          while (!step.done) {
            if (performance.now() - slice > sliceMs) {
              await turn()
              slice = performance.now()
            }
            step = steps.next()
          }
          const { value } = step
          this.db.run(statements.release)
          this.kept.mark()
          settled.push(() => resolve(value as never))
        } catch (error) {
          this.db.run(statements.undo)
          this.db.run(statements.release)
          this.kept.rollback()
          settled.push(() => reject(error))
        }
        if (performance.now() - start > groupMs) break
      }
      this.kept.seal()
      this.db.run(statements.commit)
      this.kept.mark()
      this.kept.committed(soon)
      if (!soon) this.untidy = true
      this.failure = undefined
    } catch (error) {
      // The disk is full, or the like: nobody in the group was stored.
      if (this.db.db.inTransaction) this.db.run(statements.rollback)
      this.stale = true
      this.failure = error instanceof Error ? error.message : String(error)
      for (const { reject } of taken.length ? taken : this.waiting.splice(0)) reject(error)
      return
    }
    for (const settle of settled) settle()
  }
}
