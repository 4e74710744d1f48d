/**
 * Small numbers for names that repeat: tenants, types, parameters, systems, terms, shapes.
 *
 * A type is a type of one tenant, so that its number, and those of its parameters and their values, are the tenant's.
 * `Names` is the dictionary as one tenant sees it.
 *
 * https://www.sqlite.org/datatype3.html
 *
 * Used by the writer, inside its transaction. What a commit added is forgotten again when the commit is rolled back.
 */

import { detached } from '../../fhir/index.js'
import type { Connection } from './connection.js'
import { Recent } from './recent.js'
import { type Sql, sql } from './sql.js'
import { TermCache } from './term-cache.js'

/** What the values of a parameter are; one parameter may have several (a reference is also a URL). */
export type Kind =
  | 'token'
  | 'string'
  | 'uri'
  | 'url'
  | 'versioned'
  | 'interval'
  | 'quantity'
  | 'canonical'
  | 'reference'
  | 'composite'
  | 'position'
  | 'text'

type Tenant = { number: number; types: Map<string, number> }

export type Param = { pid: number; tid: number; code: string; kind: Kind }

/** `sys`: the system of a token; 0 for none. `raw`: a string as written, if folding changed it; the text of a unit. */
export type Term = { pid: number; value: string | null; sys: number; raw: string | null }

/** The parameter that holds references no search parameter finds; they count when something is deleted. */
export const unnamed = 0

const cachedMax = 20_000
const cachedLengthMax = 200

export class Dictionary {
  private readonly tenants = new Map<string, Tenant>()
  private readonly typeNames = new Map<number, string>()
  private readonly params = new Map<number, Map<string, Param[]>>()
  private readonly codes = new Map<number, string>()
  private readonly systems = new Recent<string, number>(cachedMax)
  private readonly terms = new TermCache(cachedMax)
  private readonly shapes = new Recent<string, number>(cachedMax)
  private nextTerm = 1
  private absent = -1
  private undo: (() => void)[] = []

  /** `frozen`: nothing is written; what is not in the file gets a number that is not in the file either. */
  constructor(
    private readonly writer: Connection,
    private readonly frozen = false,
  ) {
    this.reload()
  }

  /** Reads everything again: after a group of commits was lost. If reading fails, all stays as it was. */
  reload(): void {
    const tenants = this.writer.rows<[number, string]>(sql`SELECT tenant, name FROM tenant`)
    const types = this.writer.rows<[number, string, string]>(
      sql`SELECT y.tid, y.name, t.name FROM type y JOIN tenant t ON t.tenant = y.tenant`,
    )
    const params = this.writer.all<Param>(sql`SELECT pid, tid, code, kind FROM param`)
    const nextTerm = this.writer.value<number>(sql`SELECT coalesce(max(term), 0) + 1 FROM term`)!
    this.undo = []
    this.tenants.clear()
    this.typeNames.clear()
    this.params.clear()
    this.codes.clear()
    this.systems.clear()
    this.terms.clear()
    this.shapes.clear()
    for (const [number, name] of tenants) this.tenants.set(name, { number, types: new Map() })
    for (const [tid, type, tenant] of types) this.addType(tid, type, this.tenants.get(tenant)!)
    for (const param of params) this.addParam(param)
    this.nextTerm = nextTerm
  }

  /** What was added since the last mark is in the file for good (or in a savepoint that was kept). */
  mark(): void {
    this.undo = []
  }

  /** What was added since the last mark was rolled back. */
  rollback(): void {
    for (const undo of this.undo.reverse()) undo()
    this.undo = []
  }

  /** undefined for one nobody has written to. */
  tenantOf(name: string): number | undefined {
    return this.tenants.get(name)?.number
  }

  tidOf(tenant: string, type: string): number | undefined {
    return this.tenants.get(tenant)?.types.get(type)
  }

  typeOf(tid: number): string {
    return this.typeNames.get(tid)!
  }

  allTypes(tenant: string): string[] {
    return [...(this.tenants.get(tenant)?.types.keys() ?? [])]
  }

  codeOf(pid: number): string | undefined {
    return this.codes.get(pid)
  }

  /** The parameters by that code, one for each kind of value that was ever stored. */
  paramsOf(tid: number, code: string): readonly Param[] {
    return this.params.get(tid)?.get(code) ?? []
  }

  /** All parameters of a type that hold references to our own resources. */
  referencesOf(tid: number): Param[] {
    const found: Param[] = []
    for (const params of this.params.get(tid)?.values() ?? [])
      for (const param of params) if (param.kind === 'reference' && !param.code.includes('$')) found.push(param)
    return found
  }

  tenant(name: string): number {
    return this.made(name).number
  }

  type(tenant: string, name: string): number {
    const of = this.made(tenant)
    const known = of.types.get(name)
    if (known !== undefined) return known
    const tid = this.add(sql`INSERT INTO type (tenant, name) VALUES (${of.number}, ${name}) RETURNING tid AS number`)
    this.addType(tid, name, of)
    this.undo.push(() => {
      of.types.delete(name)
      this.typeNames.delete(tid)
    })
    return tid
  }

  private made(name: string): Tenant {
    const known = this.tenants.get(name)
    if (known) return known
    const number = this.add(sql`INSERT INTO tenant (name) VALUES (${name}) RETURNING tenant AS number`)
    const tenant = { number, types: new Map<string, number>() }
    this.tenants.set(name, tenant)
    this.undo.push(() => this.tenants.delete(name))
    return tenant
  }

  param(tid: number, code: string, kind: Kind): number {
    const known = this.params.get(tid)?.get(code)
    if (known) for (const param of known) if (param.kind === kind) return param.pid
    const pid = this.add(
      sql`INSERT INTO param (tid, code, kind) VALUES (${tid}, ${code}, ${kind}) RETURNING pid AS number`,
    )
    const param = { pid, tid, code: detached(code), kind }
    this.addParam(param)
    this.undo.push(() => {
      const all = this.params.get(tid)!
      const rest = all.get(code)!.filter((each) => each !== param)
      if (rest.length) all.set(code, rest)
      else all.delete(code)
    })
    return pid
  }

  system(tenant: string, url: string): number {
    const { number } = this.made(tenant)
    const key = `${number} ${url}`
    const known = this.systems.get(key)
    if (known !== undefined) return known
    const stored = this.writer.get<{ sys: number }>(
      sql`SELECT sys FROM system WHERE tenant = ${number} AND url = ${url}`,
    )
    const sys =
      stored?.sys ?? this.add(sql`INSERT INTO system (tenant, url) VALUES (${number}, ${url}) RETURNING sys AS number`)
    if (url.length <= cachedLengthMax) {
      this.systems.set(detached(key), sys)
      if (!stored) this.undo.push(() => this.systems.delete(key))
    }
    return sys
  }

  term(pid: number, value: string | null, sys: number, raw: string | null): number {
    const known = this.terms.get({ pid, value, sys, raw })
    if (known !== undefined) return known
    const cached = (value?.length ?? 0) + (raw?.length ?? 0) <= cachedLengthMax
    const stored = this.writer.get<{ term: number }>(
      sql`SELECT term FROM term WHERE pid = ${pid} AND value IS ${value} AND sys = ${sys} AND raw IS ${raw}`,
    )
    const term = stored?.term ?? (this.frozen ? this.absent-- : this.nextTerm++)
    if (!stored && !this.frozen)
      this.writer.run(
        sql`INSERT INTO term (term, pid, value, sys, raw) VALUES (${term}, ${pid}, ${value}, ${sys}, ${raw})`,
      )
    if (cached) this.terms.set({ pid, value, sys, raw }, term)
    if (!stored)
      this.undo.push(() => {
        if (cached) this.terms.forget(pid, value)
        this.nextTerm = Math.min(this.nextTerm, term)
      })
    return term
  }

  /** The number of a set of parameters. */
  shape(pids: number[]): number {
    const key = pids.join(' ')
    const known = this.shapes.get(key)
    if (known !== undefined) return known
    const stored = this.writer.get<{ sid: number }>(sql`SELECT sid FROM shape WHERE pids = ${key}`)
    const sid = stored?.sid ?? this.add(sql`INSERT INTO shape (pids) VALUES (${key}) RETURNING sid AS number`)
    this.shapes.set(key, sid)
    if (!stored && !this.frozen) {
      for (const pid of pids) this.writer.run(sql`INSERT INTO shape_param (pid, sid) VALUES (${pid}, ${sid})`)
      this.undo.push(() => this.shapes.delete(key))
    }
    return sid
  }

  private add(insert: Sql): number {
    return this.frozen ? this.absent-- : this.writer.get<{ number: number }>(insert)!.number
  }

  private addType(tid: number, name: string, { types }: Tenant): void {
    const kept = detached(name)
    types.set(kept, tid)
    this.typeNames.set(tid, kept)
  }

  private addParam(param: Param): void {
    this.codes.set(param.pid, param.code)
    let codes = this.params.get(param.tid)
    if (!codes) {
      codes = new Map()
      this.params.set(param.tid, codes)
    }
    codes.set(param.code, [...(codes.get(param.code) ?? []), param])
  }
}
