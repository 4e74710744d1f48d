/**
 * The searches of one transaction: each criteria is asked once, however many entries and references state it.
 */
import type { Expression } from '../search/index.js'
import type { Condition, Stored } from '../store/index.js'
import type { Context } from './context.js'
import { find, selection } from './criteria.js'

export type Selection = { where: Expression; found: Stored[] }

export class Selections {
  /** What the commit has to verify: that all the criteria still find the same. */
  readonly conditions: Condition[] = []
  private readonly byCriteria = new Map<string, Promise<Selection>>()

  /** @param limit how many resources of a type may have to be told apart */
  constructor(
    private readonly context: Context,
    private readonly limit: (type: string) => number,
  ) {}

  get(type: string, criteria: string, limit = this.limit(type)): Promise<Selection> {
    const key = `${limit} ${type}?${criteria}`
    const selected = this.byCriteria.get(key) ?? this.select(type, criteria, limit)
    this.byCriteria.set(key, selected)
    return selected
  }

  private async select(type: string, criteria: string, limit: number): Promise<Selection> {
    const where = await selection(this.context, type, criteria)
    const { found, condition } = await find(this.context, type, where, limit)
    this.conditions.push(condition)
    return { where, found }
  }
}
