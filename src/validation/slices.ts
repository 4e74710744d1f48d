/**
 * Which slice an element belongs to, by the discriminators of the slicing.
 *
 * https://hl7.org/fhir/R4/profiling.html#discriminator
 *
 * A discriminator leads into the slice's own constraint as well as into the element: an element belongs to the slice
 * whose constraint at the end of that path its values satisfy. Nothing is asked that the discriminator does not name.
 */
import { isObject, type Json, parseReference } from '../fhir/index.js'
import type { Constraint, Slicing } from './profile.js'
import { type Item, isOf, itemsOf, type Known, type ProfileCheck, plainType } from './profile-check.js'

type Discriminator = Slicing['discriminators'][number]

export class Slices {
  private readonly found = new Map<Item, string | undefined>()

  constructor(
    private readonly sliced: Constraint,
    private readonly check: ProfileCheck,
    private readonly known: Known,
  ) {}

  /** The name of the first slice that fits; undefined where none does. */
  of(item: Item): string | undefined {
    if (this.found.has(item)) return this.found.get(item)
    let name: string | undefined
    for (const [each, slice] of this.sliced.slices)
      if (each !== '@default' && this.fits(slice, item)) {
        name = each
        break
      }
    if (name === undefined && this.sliced.slices.has('@default')) name = '@default'
    this.found.set(item, name)
    return name
  }

  private fits(slice: Constraint, item: Item): boolean {
    const discriminators = this.sliced.slicing?.discriminators ?? []
    // Without a discriminator only the whole slice can tell.
    if (discriminators.length === 0) return this.isTyped(slice, item) && this.check.conforms(slice, item)
    return discriminators.every((discriminator) => this.agrees(discriminator, slice, item))
  }

  private agrees({ type, path }: Discriminator, slice: Constraint, item: Item): boolean {
    const steps = stepsOf(path)
    const items = this.itemsAt(item, steps)
    const constraints = this.constraintsAt(slice, steps)
    switch (type) {
      case 'exists':
        return constraints.every(({ min = 0, max }) => (max === 0 ? items.length === 0 : min === 0 || items.length > 0))
      case 'type':
        return (
          constraints.some((each) => each.types !== undefined) &&
          items.some((each) => constraints.some((one) => this.isTyped(one, each)))
        )
      case 'profile':
        return items.some((each) => constraints.some((one) => this.isTyped(one, each) && this.hasProfile(one, each)))
      default:
        return items.some((each) => constraints.some((one) => this.check.conforms(one, each)))
    }
  }

  private isTyped({ types }: Constraint, item: Item): boolean {
    return types === undefined || types.some(({ code }) => isOf(item, code))
  }

  private hasProfile({ types = [] }: Constraint, item: Item): boolean {
    return types.some(({ profiles }) =>
      profiles.some((each) => {
        const profile = this.known.profile(each)
        return profile !== undefined && this.check.conforms(profile.root, item)
      }),
    )
  }

  /** What the slice says at the end of the path: itself, or in the profiles of its types. */
  private constraintsAt(slice: Constraint, steps: readonly Step[]): Constraint[] {
    const [step, ...rest] = steps
    if (step === undefined) return [slice]
    const inside = (constraint: Constraint): Constraint[] => {
      if (step.kind === 'resolve')
        return this.profilesOf(constraint, 'targets').flatMap((each) => this.constraintsAt(each, rest))
      if (step.kind === 'ofType') return this.constraintsAt(constraint, rest)
      if (step.kind === 'extension') {
        const extensions = constraint.children.get('extension')
        const named = [...(extensions?.slices.values() ?? [])].filter((each) => this.urlOf(each) === step.name)
        return named.flatMap((each) => this.constraintsAt(each, rest))
      }
      const child = constraint.children.get(step.name)
      if (child) {
        const said = this.constraintsAt(child, rest)
        if (said.length > 0) return said
        // What is said of a slice on the way is enough for one of the values there.
        return [...child.slices.values()].flatMap((each) => this.constraintsAt(each, rest))
      }
      // A pattern or fixed value above the end of the path says what stands below.
      const part = partOf(constraint, step.name)
      return part ? this.constraintsAt(part, rest) : []
    }
    const own = inside(slice)
    if (own.length > 0) return own
    return this.profilesOf(slice, 'profiles').flatMap(inside)
  }

  private profilesOf({ types = [] }: Constraint, kind: 'profiles' | 'targets'): Constraint[] {
    const typed = (type: string, root: Omit<Constraint, 'types'>): Constraint => ({
      ...root,
      types: [{ code: type, profiles: [], targets: [] }],
    })
    return types.flatMap((rule) =>
      rule[kind].flatMap((each) => {
        const plain = plainType(each)
        if (plain !== undefined)
          return typed(plain, { name: plain, invariants: [], slices: new Map(), children: new Map() })
        const profile = this.known.profile(each)
        return profile ? typed(profile.type, profile.root) : []
      }),
    )
  }

  private urlOf(extension: Constraint): Json | undefined {
    const [url] = this.constraintsAt(extension, [{ kind: 'child', name: 'url' }])
    return url?.fixed ?? url?.pattern
  }

  private itemsAt(item: Item, steps: readonly Step[]): Item[] {
    let items = [item]
    for (const step of steps) items = items.flatMap((each) => this.stepped(each, step))
    return items
  }

  private stepped(item: Item, step: Step): Item[] {
    const { value } = item
    const object = isObject(value) ? value : item.attached
    switch (step.kind) {
      case 'ofType':
        return item.type === step.name ? [item] : []
      case 'resolve': {
        const reference = object?.['reference']
        if (typeof reference !== 'string') return []
        const found = this.check.resolved(reference)
        if (found) return [{ value: found, type: String(found['resourceType']), property: '' }]
        const type = parseReference(reference)?.type
        return type === undefined ? [] : [{ value: { resourceType: type }, type, property: '' }]
      }
      case 'extension':
        return object
          ? itemsOf(object, isObject(value) ? item.type : 'Element', 'extension').filter(
              ({ value }) => isObject(value) && value['url'] === step.name,
            )
          : []
      case 'child':
        return object ? itemsOf(object, isObject(value) ? item.type : 'Element', step.name) : []
    }
  }
}

/** The part of a fixed value or pattern that a member has; one of a list stands for each. */
function partOf({ fixed, pattern }: Constraint, name: string): Constraint | undefined {
  const whole = fixed ?? pattern
  if (!isObject(whole)) return undefined
  const part = whole[name]
  if (part === undefined) return undefined
  const one = Array.isArray(part) ? part[0] : part
  return { name, pattern: one!, invariants: [], slices: new Map(), children: new Map() }
}

type Step = { kind: 'child' | 'ofType' | 'extension'; name: string } | { kind: 'resolve'; name: '' }

const known = new Map<string, Step[]>()

/** https://hl7.org/fhir/R4/profiling.html#discriminator: the restricted FHIRPath of a discriminator. */
function stepsOf(path: string): Step[] {
  let steps = known.get(path)
  if (!steps) {
    steps = []
    for (const [, name, argument] of path.matchAll(/(\$?\w+)(?:\(([^)]*)\))?(?:\.|$)/g)) {
      const quoted = argument?.replace(/^['"]|['"]$/g, '')
      if (name === '$this') continue
      if (argument === undefined) steps.push({ kind: 'child', name: name!.replace('[x]', '') })
      else if (name === 'resolve') steps.push({ kind: 'resolve', name: '' })
      else if (name === 'ofType' || name === 'as') steps.push({ kind: 'ofType', name: quoted! })
      else if (name === 'extension') steps.push({ kind: 'extension', name: quoted! })
    }
    if (known.size > 1000) known.clear()
    known.set(path, steps)
  }
  return steps
}
