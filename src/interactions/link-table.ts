/**
 * Where the links between the entries of a transaction lead once every entry has its identity.
 *
 * https://hl7.org/fhir/R4/http.html#trules, https://hl7.org/fhir/R4/bundle.html#references
 */
import { reach } from '../access/index.js'
import {
  FhirError,
  invalid,
  isResourceType,
  localReference,
  multipleMatches,
  parseReference,
  type Ref,
  splice,
} from '../fhir/index.js'
import type { Expect } from '../store/index.js'
import { type Breathe, inWindows } from './breathe.js'
import type { Context } from './context.js'
import { atEntry, type Entry } from './entry.js'
import { addressOf, type Identified, type Identities } from './identify.js'
import { type Links, mapLinks } from './links.js'
import { isConditional, prepareChecked } from './prepare.js'

export class LinkTable {
  private readonly byUrl = new Map<string, Identified>()
  private readonly byAddress = new Map<string, Identified>()
  /** Reference by search to the reference it stands for. */
  private readonly bySearch = new Map<string, string>()
  private readonly versions = new Map<Identified, number>()
  private readonly expectations = new Map<Identified, Expect>()

  private constructor(
    private readonly baseUrls: readonly string[],
    identified: readonly Identified[],
  ) {
    for (const each of identified) {
      if (each.id === '') continue
      const { fullUrl, resource, method } = each.entry
      if (fullUrl !== undefined) this.byUrl.set(fullUrl, each)
      // Without a fullUrl the source knows the resource by type and id only; updates keep both.
      const own = fullUrl === undefined ? undefined : this.local(fullUrl)
      if (own !== undefined) this.byAddress.set(own, each)
      else if (method === 'POST' && fullUrl === undefined && resource?.id !== undefined)
        this.byAddress.set(addressOf({ type: each.type, id: resource.id }), each)
      if (method !== 'POST') this.byAddress.set(addressOf(each), each)
    }
  }

  static async of(context: Context, identities: Identities, breathe: Breathe): Promise<LinkTable> {
    const table = new LinkTable(context.baseUrls, identities.identified)
    const searches = new Map<string, Entry>()
    const versioned = new Set<Identified>()
    for (const { action, entry } of identities.identified) {
      if (action.op !== 'put') continue
      await breathe()
      const root = rootOf(entry.fullUrl)
      mapLinks(action.resource, {
        reference: (text) => {
          if (isConditional(text)) {
            if (!searches.has(text)) searches.set(text, entry)
            return text
          }
          const base = unversioned(text)
          if (base === text && !text.startsWith('urn:')) return text
          const target = table.target(base, root)
          if (target && base !== text) versioned.add(target)
          if (!target && text.startsWith('urn:') && context.settings.integrity) throw leadsNowhere(entry)
          return text
        },
      })
    }
    for (const target of versioned) await table.foresee(context, target)
    await inWindows([...searches], 32, async ([text, entry]) => {
      await breathe()
      try {
        table.bySearch.set(text, addressOf(await referred(identities, text)))
      } catch (error) {
        throw atEntry(error, entry.index)
      }
    })
    return table
  }

  /** The links of one entry's resource. */
  linksOf({ fullUrl }: Entry): Links {
    const root = rootOf(fullUrl)
    return {
      reference: (text) => this.reference(text, root),
      // Elements of type oid and uuid are left: what they would become is neither.
      uri: (text) => {
        const target = this.byUrl.get(text)
        return target ? addressOf(target) : text
      },
    }
  }

  /** What the commit has to expect so that the versions written into references come true. */
  expectationOf = (each: Identified): { expect?: Expect; raced: boolean } => {
    const expect = this.expectations.get(each)
    if (expect) return { expect, raced: true }
    return { raced: each.raced, ...(each.expect && { expect: each.expect }) }
  }

  private reference(text: string, root: string | undefined): string {
    const search = this.bySearch.get(text)
    if (search !== undefined) return search
    const base = unversioned(text)
    const target = this.target(base, root)
    if (!target) return text
    if (base === text) return addressOf(target)
    const version = this.versions.get(target)
    return addressOf(target) + (version === undefined ? text.slice(base.length) : `/_history/${version}`)
  }

  /** The entry a reference means: by its fullUrl, or by type and id at the base of the entry that refers. */
  private target(text: string, root: string | undefined): Identified | undefined {
    const target = this.byUrl.get(text)
    if (target || text.includes(':')) return target
    return (root === undefined ? undefined : this.byUrl.get(`${root}/${text}`)) ?? this.byAddress.get(text)
  }

  private local(fullUrl: string): string | undefined {
    const local = fullUrl.startsWith('http') ? localReference(fullUrl, this.baseUrls) : undefined
    return local && addressOf(local)
  }

  /**
   * The version that a resource will have after the transaction. "Version-specific references should remain as
   * version-specific references after the references have been updated."
   */
  private async foresee(context: Context, target: Identified): Promise<void> {
    const { action, entry } = target
    if (action.op === 'delete') return
    if (action.op === 'none') {
      if (action.existing) this.versions.set(target, action.existing.version)
      return
    }
    if (action.method === 'POST') {
      this.versions.set(target, 1)
      return
    }
    const ref = { type: target.type, id: target.id }
    const current = await context.store.read(ref, reach(context.caller, 'update'))
    if (!target.expect || target.raced)
      this.expectations.set(target, current ? { version: current.version } : { exists: false })
    this.versions.set(target, (current?.version ?? 0) + 1)
    if (!current || current.deleted) return
    const { serialized } = prepareChecked(context, action.resource, {
      ...ref,
      method: action.method,
      links: this.linksOf(entry),
      ...(target.before && { before: target.before }),
    })
    if (splice(serialized, current.version, current.updated).equals(current.body))
      this.versions.set(target, current.version)
  }
}

/** `http://host/fhir` of `http://host/fhir/Patient/1`; undefined where the fullUrl is no RESTful address. */
function rootOf(fullUrl: string | undefined): string | undefined {
  return fullUrl === undefined || fullUrl.startsWith('urn:') ? undefined : parseReference(fullUrl)?.base
}

/**
 * The one resource a reference by search stands for, as it will be after the transaction: found in the store and
 * neither deleted nor changed here, or among what is written here.
 */
async function referred({ selections, drafts, changed }: Identities, text: string): Promise<Ref> {
  const query = text.indexOf('?')
  const type = text.slice(0, query)
  if (!isResourceType(type)) throw notOne(`a reference by search begins with a resource type`)
  const { where, found } = await selections.get(type, text.slice(query + 1))
  const ids = new Set(found.filter((stored) => !changed.has(addressOf(stored))).map(({ id }) => id))
  for (const { id } of await drafts.matching(type, where)) ids.add(id)
  const [id, ...more] = ids
  if (more.length) throw multipleMatches(`a reference by search matches more than one ${type}; make it more selective`)
  if (id === undefined)
    throw notOne(`a reference by search matches no ${type}; create it first, or in this transaction`)
  return { type, id }
}

/** A reference without `/_history/…`. */
function unversioned(text: string): string {
  const history = text.indexOf('/_history/')
  return history < 0 ? text : text.slice(0, history)
}

/** A urn is no address: what it does not name in the transaction, nobody will ever find. */
const leadsNowhere = ({ index }: Entry) =>
  atEntry(invalid('a urn: reference is the fullUrl of no entry; add the entry, or refer to it by Type/id'), index)

const notOne = (diagnostics: string) => new FhirError(400, [{ severity: 'error', code: 'not-found', diagnostics }])
