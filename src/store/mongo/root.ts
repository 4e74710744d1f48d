/**
 * What a tenant has: its types, and the classes its resources are seen by.
 *
 * An index has the class before the order, so that a reach which limits it reads no other; who is not limited names all
 * classes, and the database merges them. The list is kept from one search to the next; each search brings back, in the
 * same command, whether it has grown, and is made again if so.
 */
import type { ClientSession, Document } from 'mongodb'
import type { Collections } from './collections.js'
import { commitsCollection, keyOf } from './marks.js'
import { mixed } from './tokens.js'

type RootDocument = { _id: string; types?: string[]; classes?: string[] }

/** More are put together in one: the database merges 200 orders at most, and values are asked several at a time. */
const classesMax = 64

/** A class has come about since the search was planned. */
class Outdated extends Error {}

export class Root {
  private types: readonly string[] = []
  private seen: readonly string[] | undefined

  constructor(
    private readonly collections: Collections,
    private readonly tenant: string,
  ) {}

  private get roots() {
    return this.collections.db.collection<RootDocument>(commitsCollection)
  }

  /** The types anybody has stored, in an order that is always the same. */
  async allTypes(session?: ClientSession): Promise<readonly string[]> {
    const found = await this.roots.findOne(
      { _id: keyOf.root(this.tenant) },
      { projection: { types: 1, classes: 1 }, ...(session && { session }) },
    )
    this.types = (found?.types ?? []).sort()
    this.saw(found?.classes ?? [])
    return this.types
  }

  /** The classes that were seen last. */
  get classes(): readonly string[] {
    return this.seen ?? []
  }

  private saw(classes: readonly string[]): boolean {
    const known = new Set(this.seen)
    const grown = this.seen === undefined || classes.some((each) => !known.has(each))
    if (grown) this.seen = [...new Set([...known, ...classes])].sort()
    return grown
  }

  /** Carries out what was planned by the classes there are, again when there are more. */
  async byClasses<T>(work: () => Promise<T>): Promise<T> {
    if (this.seen === undefined) await this.allTypes()
    for (let tries = 0; ; tries++) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof Outdated) || tries > classesMax) throw error
      }
    }
  }

  /** What brings the classes with an answer. */
  readonly stage = (): Document => ({
    $unionWith: {
      coll: commitsCollection,
      pipeline: [
        { $match: { _id: keyOf.root(this.tenant) } },
        // Types may be made ready before anything is stored of them.
        { $project: { _id: 0, classes: { $ifNull: ['$classes', []] } } },
      ],
    },
  })

  /** Takes the classes out of an answer. */
  without<T extends Document>(rows: readonly (T | { classes: string[] })[]): T[] {
    return rows.filter((row): row is T => {
      if (!('classes' in row) || !Array.isArray(row['classes'])) return true
      if (this.saw(row['classes'])) throw new Outdated()
      return false
    })
  }

  /** The class of what a custodian has. */
  classOf(custodian: string): string {
    return this.classes.includes(custodian) ? custodian : mixed
  }

  /** Makes what the types need, and says what there will be before anything of it is stored. */
  async ensure(types: Iterable<string>, custodians: Iterable<string>): Promise<void> {
    const distinct = [...new Set(types)]
    await Promise.all(distinct.map((type) => this.collections.ensure(type)))
    if (this.seen === undefined) await this.allTypes()
    const added = distinct.filter((type) => !this.types.includes(type))
    let room = Math.max(0, classesMax - this.classes.length)
    const classes = new Set<string>()
    for (const custodian of custodians) {
      if (this.classes.includes(custodian) || classes.has(custodian)) continue
      classes.add(room-- > 0 ? custodian : mixed)
    }
    for (const each of this.classes) classes.delete(each)
    if (!added.length && !classes.size) return
    await this.roots.updateOne(
      { _id: keyOf.root(this.tenant) },
      { $addToSet: { types: { $each: added }, classes: { $each: [...classes] } } },
      { upsert: true },
    )
    this.types = [...new Set([...this.types, ...added])].sort()
    this.saw([...classes])
  }
}
