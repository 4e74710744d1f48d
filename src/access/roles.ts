/**
 * The table of roles: who may do what with which resources. The rows are data; a role or type it does not name may do nothing.
 *
 * https://hl7.org/fhir/R4/security.html#rbac
 */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { isResourceType, resourceTypes, typeDefinition } from '../fhir/index.js'
import type { Expression } from '../search/index.js'
import type { Act } from './caller.js'
import { actsOf } from './scope.js'

export type Relation =
  | 'any'
  | 'hospital'
  | 'hospital-patient'
  | 'treatment'
  | 'assigned'
  | 'self'
  | 'dependants'
  | 'me'
  | 'branch'
  | 'staff'
  | 'prescription'
  | 'order'

/** One cell of a role's row, for each of its types; the members are explained in capability/roles.schema.json. */
export type Cell = {
  types: ReadonlySet<string>
  acts: ReadonlySet<Act>
  relation: Relation
  named?: string
  where?: Expression
  after?: Expression
  only?: readonly string[]
  without?: readonly string[]
  fresh?: true
  purposes?: readonly string[]
}

export type Role = {
  name: string
  title: string
  /** For systems alone: no person acts in the role. */
  kind?: 'system'
  cells: readonly Cell[]
  refers: readonly { types: ReadonlySet<string>; from: ReadonlySet<string>; relation: Relation }[]
  /** `Organization.partof`: what members of the role may change although it moves a resource elsewhere. */
  moves: ReadonlySet<string>
}

export type RoleTable = {
  freshMs: number
  /** Days. */
  windows: { planned: number; booked: number; kept: number; finished: number }
  guardians: { legal: readonly string[]; parent: readonly string[]; adult: number }
  roles: ReadonlyMap<string, Role>
}

type Written = {
  freshMinutes: number
  windows: RoleTable['windows']
  guardians: RoleTable['guardians']
  groups: Record<string, string[]>
  roles: Record<
    string,
    {
      title: string
      kind?: 'system'
      cells: (Omit<Cell, 'types' | 'acts'> & { types: string[]; acts: string; why?: string })[]
      refers?: { types: string[]; from: string[]; relation: Relation }[]
      moves?: string[]
    }
  >
}

/** Types that describe FHIR and its use rather than anybody's care: they have a publisher, and no custodian. */
const definitionTypes: ReadonlySet<string> = new Set(
  resourceTypes.filter((type) => typeDefinition(type)?.elements.some(({ name }) => name === 'publisher')),
)

export const isDefinitionType = (type: string): boolean => definitionTypes.has(type)

/** @throws Error where the table does not follow its schema, or names what FHIR does not know */
export function readRoles(table: unknown, schema: object): RoleTable {
  const validate = new Ajv({ strict: false, allErrors: true }).compile<Written>(schema)
  if (!validate(table))
    throw new Error(
      `the table of roles: ${validate.errors!.map(({ instancePath, message }) => `${instancePath} ${message}`).join('; ')}`,
    )
  const { freshMinutes, windows, guardians, groups, roles } = table
  const typesOf = (names: readonly string[]) => new Set(names.flatMap((name) => named(name, groups)))
  const read: RoleTable = {
    freshMs: freshMinutes * 60_000,
    windows,
    guardians,
    roles: new Map(
      Object.entries(roles).map(([name, { title, kind, cells, refers = [], moves = [] }]) => [
        name,
        {
          name,
          title,
          ...(kind && { kind }),
          cells: cells.map(({ types, acts, why: _, ...cell }) => ({
            ...cell,
            types: typesOf(types),
            acts: actsOf(acts),
          })),
          refers: refers.map(({ types, from, relation }) => ({
            types: typesOf(types),
            from: typesOf(from),
            relation,
          })),
          moves: new Set(moves),
        },
      ]),
    ),
  }
  for (const role of read.roles.values()) refuseBlindUpdates(role)
  return read
}

/** Who does not see all of a resource cannot send back all of it. */
function refuseBlindUpdates({ name, cells }: Role): void {
  const partial = new Set(cells.flatMap(({ without, types }) => (without ? [...types] : [])))
  for (const { acts, types } of cells) {
    const blind = acts.has('update') ? [...types].find((type) => partial.has(type)) : undefined
    if (blind !== undefined) throw new Error(`the table of roles: ${name} updates ${blind} without seeing all of it`)
  }
}

function named(name: string, groups: Record<string, string[]>): readonly string[] {
  if (name === '*') return resourceTypes.filter((type) => !definitionTypes.has(type))
  if (name === '@definitions') return [...definitionTypes]
  const types = name.startsWith('@') ? (Object.hasOwn(groups, name.slice(1)) ? groups[name.slice(1)]! : []) : [name]
  const unknown = types.find((type) => !isResourceType(type))
  if (types.length === 0 || unknown !== undefined)
    throw new Error(`the table of roles names ${unknown ?? name}, which is no resource type`)
  return types
}

const file = (name: string): object =>
  JSON.parse(readFileSync(new URL(`../../capability/${name}`, import.meta.url), 'utf8')) as object

export const roleTable: RoleTable = readRoles(file('roles.json'), file('roles.schema.json'))

export const roleOf = (name: string): Role | undefined => roleTable.roles.get(name)
