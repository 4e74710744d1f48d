/**
 * The dictionary as one tenant sees it: its own types, and by them all that is found.
 *
 * https://www.sqlite.org/datatype3.html
 */
import type { Dictionary, Kind, Param } from './dictionary.js'

export class Names {
  constructor(
    private readonly dictionary: Dictionary,
    private readonly tenant: string,
  ) {}

  /** The number of the tenant; undefined while nobody has written to it. */
  get known(): number | undefined {
    return this.dictionary.tenantOf(this.tenant)
  }

  /** The same, given if need be: inside the transaction of the writer. */
  number(): number {
    return this.dictionary.tenant(this.tenant)
  }

  tidOf(type: string): number | undefined {
    return this.dictionary.tidOf(this.tenant, type)
  }

  allTypes(): string[] {
    return this.dictionary.allTypes(this.tenant)
  }

  type(name: string): number {
    return this.dictionary.type(this.tenant, name)
  }

  system(url: string): number {
    return this.dictionary.system(this.tenant, url)
  }

  typeOf(tid: number): string {
    return this.dictionary.typeOf(tid)
  }

  codeOf(pid: number): string | undefined {
    return this.dictionary.codeOf(pid)
  }

  paramsOf(tid: number, code: string): readonly Param[] {
    return this.dictionary.paramsOf(tid, code)
  }

  referencesOf(tid: number): Param[] {
    return this.dictionary.referencesOf(tid)
  }

  param(tid: number, code: string, kind: Kind): number {
    return this.dictionary.param(tid, code, kind)
  }

  term(pid: number, value: string | null, sys: number, raw: string | null): number {
    return this.dictionary.term(pid, value, sys, raw)
  }

  shape(pids: number[]): number {
    return this.dictionary.shape(pids)
  }
}
