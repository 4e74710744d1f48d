/**
 * Which organisations and hospitals a person or client acts for: up the tree of Organization.partOf to its root.
 *
 * https://hl7.org/fhir/R4/organization-definitions.html#Organization.partOf
 *
 * Asked once, when a token is verified. A tree that leads nowhere, or round in a circle, has no hospital: whoever
 * belongs to it sees what people of no hospital see. So does who belongs to one that was deleted; an organisation that was
 * never stored is a hospital of its own.
 */
import { isObject, type Json, type JsonObject, period, type Ref, type Resource } from '../fhir/index.js'
import { custodianOf } from '../search/index.js'

/** How resources are looked up, as the server: an interaction that gives undefined for what is not there. */
export type Look = {
  read(ref: Ref): Promise<Resource | undefined>
  wasDeleted(ref: Ref): Promise<boolean>
  /** The resources of a type that a query string finds; all of them, or a first page of some hundred. */
  search(type: string, query: string): Promise<Resource[]>
}

type Organizations = Pick<Look, 'read' | 'wasDeleted'>

export type Affiliation = {
  /** The organisations and those above them. */
  organizations: string[]
  /** The roots among them. */
  hospitals: string[]
}

/** No hospital is organised so deep. */
const depthMax = 32

/** The ids from an organisation up to its hospital, which comes last; undefined where they do not lead to one. */
export async function lineOf(look: Organizations, organization: string): Promise<string[] | undefined> {
  const line: string[] = []
  const custodians = new Set<string>()
  for (let id: string | undefined = organization; id !== undefined; ) {
    if (line.includes(id) || line.length === depthMax) return undefined
    const found: Resource | undefined = await look.read({ type: 'Organization', id })
    // An organisation that only tokens name has nobody above it.
    if (!found && line.length === 0 && !(await look.wasDeleted({ type: 'Organization', id }))) return [organization]
    if (!found || found['active'] === false) return undefined
    line.push(id)
    const custodian = custodianOf(found)
    if (custodian !== undefined) custodians.add(custodian)
    const { partOf } = found
    // A hospital makes parts of itself, and not of another.
    if (partOf === undefined) return [...custodians].every((each) => each === id) ? line : undefined
    id = localId(partOf, 'Organization')
    if (id === undefined) return undefined
  }
  return undefined
}

/** The organisations and hospitals that some organisations make somebody a part of. */
export async function affiliationOf(look: Organizations, organizations: readonly string[]): Promise<Affiliation> {
  const all = new Set<string>()
  const hospitals = new Set<string>()
  for (const each of organizations) {
    const line = await lineOf(look, each)
    if (!line) continue
    for (const id of line) all.add(id)
    hospitals.add(line.at(-1)!)
  }
  return { organizations: [...all], hospitals: [...hospitals] }
}

/**
 * What stands behind the user of a token: who they are besides, and where. A PractitionerRole counts while it is active
 * and in its period, and only where it was not made by another hospital than the one it makes somebody a part of. A
 * patient belongs to the custodian of their record.
 */
export async function standingOf(
  look: Look,
  user: Ref,
  now: number,
): Promise<Affiliation & { aliases: Ref[]; custodian?: string }> {
  switch (user.type) {
    case 'Practitioner': {
      const roles = await look.search('PractitionerRole', `practitioner=Practitioner/${user.id}&_count=100`)
      return ofRoles(look, roles, now)
    }
    case 'PractitionerRole': {
      const role = await look.read(user)
      const standing = await ofRoles(look, role ? [role] : [], now)
      const practitioner = role && localId(role['practitioner'], 'Practitioner')
      const aliases = practitioner === undefined ? [] : [{ type: 'Practitioner', id: practitioner }]
      return { ...standing, aliases: standing.hospitals.length ? aliases : [] }
    }
    case 'Patient':
    case 'RelatedPerson': {
      const record = await look.read(user)
      return { ...(await ofCustodian(look, record)), aliases: [] }
    }
    case 'Person': {
      const person = await look.read(user)
      const aliases = person && person['active'] !== false ? linksOf(person) : []
      const records = await Promise.all(aliases.map((ref) => look.read(ref)))
      const standings = await Promise.all(records.map((record) => ofCustodian(look, record)))
      return { ...together(standings), aliases }
    }
    default:
      return { organizations: [], hospitals: [], aliases: [] }
  }
}

async function ofRoles(look: Look, roles: readonly Resource[], now: number) {
  const aliases: Ref[] = []
  const standings: Affiliation[] = []
  for (const role of roles) {
    const organization = localId(role['organization'], 'Organization')
    if (organization === undefined || role['active'] === false || !isIn(role['period'], now)) continue
    const standing = await affiliationOf(look, [organization])
    const custodian = custodianOf(role)
    if (standing.hospitals.length === 0 || (custodian !== undefined && !standing.hospitals.includes(custodian)))
      continue
    aliases.push({ type: 'PractitionerRole', id: role.id! })
    standings.push(standing)
  }
  const standing = together(standings)
  return { ...standing, aliases, ...only(standing.hospitals) }
}

async function ofCustodian(look: Look, record: Resource | undefined): Promise<Affiliation & { custodian?: string }> {
  const custodian = record && custodianOf(record)
  if (custodian === undefined) return { organizations: [], hospitals: [] }
  const standing = await affiliationOf(look, [custodian])
  return { ...standing, ...only(standing.hospitals) }
}

/** What is created belongs to the one hospital there is; who has several must say which when signing in. */
const only = ([hospital, ...more]: readonly string[]): { custodian?: string } =>
  hospital === undefined || more.length ? {} : { custodian: hospital }

function together(standings: readonly Affiliation[]): Affiliation & { custodian?: string } {
  const hospitals = [...new Set(standings.flatMap((each) => each.hospitals))]
  return { organizations: [...new Set(standings.flatMap((each) => each.organizations))], hospitals, ...only(hospitals) }
}

function linksOf(person: Resource): Ref[] {
  const { link } = person
  return (Array.isArray(link) ? link : []).flatMap((each) => {
    const target = isObject(each) ? each['target'] : undefined
    for (const type of ['Patient', 'RelatedPerson', 'Practitioner']) {
      const id = localId(target, type)
      if (id !== undefined) return [{ type, id }]
    }
    return []
  })
}

function localId(reference: Json | undefined, type: string): string | undefined {
  const text = isObject(reference) ? reference['reference'] : undefined
  if (typeof text !== 'string' || !text.startsWith(`${type}/`)) return undefined
  const id = text.slice(type.length + 1).replace(/\/_history\/.*$/, '')
  return /^[A-Za-z0-9\-.]{1,64}$/.test(id) ? id : undefined
}

function isIn(value: Json | undefined, now: number): boolean {
  if (!isObject(value)) return true
  const { start, end } = value as JsonObject
  const from = typeof start === 'string' ? period(start, 'UTC') : undefined
  const to = typeof end === 'string' ? period(end, 'UTC') : undefined
  return (!from || from.lo <= now) && (!to || now <= to.hi)
}
