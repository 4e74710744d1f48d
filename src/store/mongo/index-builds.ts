/**
 * Indexes that changed from one version of the server to the next: built while everything goes on, the old ones dropped
 * once the new ones are whole.
 *
 * https://www.mongodb.com/docs/manual/core/index-creation/
 *
 * The database plans with whole indexes only, so that the old ones answer meanwhile. Processes of the old version go on
 * with what there is: where a later version of one of its indexes is there, a process does not bring its own back.
 */
import type { Db, Document, IndexDescription } from 'mongodb'
import { codeOf } from './failures.js'

/** `version` is raised when the keys or the options of an index change. */
export type Index = IndexDescription & { name: string; version?: number }

/** The first version has none in its name. */
function parsed(name: string): { name: string; version: number } {
  const [, base = name, version = '1'] = /^(.*?)(?: v(\d+))?$/.exec(name) ?? []
  return { name: base, version: Number(version) }
}

export const descriptionOf = ({ version, ...index }: Index): IndexDescription => ({
  ...index,
  name: version === undefined || version === 1 ? index.name : `${index.name} v${version}`,
})

/** What is missing of what is wanted, and what is there of earlier versions of it. */
export function compared(wanted: readonly Index[], there: readonly Document[]) {
  const known = there.map((index) => ({ ...parsed(String(index['name'])), full: String(index['name']), index }))
  const missing = wanted.filter(
    (index) =>
      !known.some(
        ({ name, version, index: { key } }) =>
          name === index.name &&
          (version > (index.version ?? 1) ||
            (version === (index.version ?? 1) && JSON.stringify(key) === JSON.stringify(index.key))),
      ),
  )
  const outdated = known
    .filter((each) => wanted.some(({ name, version = 1 }) => name === each.name && each.version < version))
    .map(({ full }) => full)
  return { missing, outdated }
}

const progressMs = 30_000

export class IndexBuilds {
  private last: Promise<boolean> = Promise.resolve(true)
  private closed = false

  constructor(
    private readonly db: Db,
    private readonly say: (sentence: string) => void,
  ) {}

  /** Afterwards, one collection at a time. */
  soon(collection: string, missing: readonly Index[], outdated: readonly string[]): void {
    this.last = this.last.then(async (whole) => (await this.build(collection, missing, outdated)) && whole)
  }

  /** When nothing is being built: whether all of it is whole. */
  idle(): Promise<boolean> {
    return this.last
  }

  private async build(collection: string, missing: readonly Index[], outdated: readonly string[]): Promise<boolean> {
    if (this.closed) return false
    const names = missing.map(({ name }) => `"${name}"`).join(', ')
    const timer = setInterval(() => void this.progress(collection, names), progressMs)
    timer.unref()
    try {
      if (missing.length) {
        this.say(`${collection}: the indexes ${names} are being built; searches use the old ones meanwhile`)
        await this.db.collection(collection).createIndexes(missing.map(descriptionOf))
        this.say(`${collection}: the indexes ${names} are whole`)
      }
      for (const name of outdated)
        await this.db
          .collection(collection)
          .dropIndex(name)
          .catch((error: unknown) => {
            // Another process was faster.
            if (codeOf(error) !== 27) throw error
          })
      return true
    } catch {
      if (!this.closed)
        this.say(`${collection}: the indexes ${names} could not be built; that is tried again at the next start`)
      return false
    } finally {
      clearInterval(timer)
    }
  }

  /** How far it is, where the user may see its own operations. */
  private async progress(collection: string, names: string): Promise<void> {
    try {
      const pipeline = [
        { $currentOp: { allUsers: false } },
        { $match: { ns: `${this.db.databaseName}.${collection}`, 'progress.total': { $gt: 0 } } },
        { $project: { progress: 1 } },
      ]
      const answer = await this.db.admin().command({ aggregate: 1, pipeline, cursor: {} })
      const [found] = answer['cursor'].firstBatch
      if (!found) return
      const { done, total } = found['progress']
      this.say(`${collection}: the indexes ${names} are being built, ${Math.floor((100 * done) / total)} %`)
    } catch {
      // It is not needed to go on.
    }
  }

  close(): void {
    this.closed = true
  }
}
