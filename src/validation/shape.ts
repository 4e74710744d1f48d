/**
 * A type's definition made ready for checking: one row for every JSON property, found by name.
 *
 * https://hl7.org/fhir/R4/json.html
 *
 * Shapes are made when a type is first met, and only they are read while checking: no name is put together, no list
 * searched, for a valid resource.
 */
import {
  type ElementDefinition,
  type ElementType,
  type Invariant,
  type TypeDefinition,
  typeDefinition,
} from '../fhir/index.js'
import { type Binding, binding } from './bindings.js'
import { type Primitive, primitive } from './primitives.js'

export type Row = {
  /** The element's name; value[x] is `value`. */
  element: string
  /** The JSON property that holds the value: `valueQuantity`. */
  property: string
  /** This is the row of `_property`, which holds id and extensions of a primitive. */
  sibling: boolean
  many: boolean
  /** One bit for each element that is required or a choice; 0 for the others. */
  bit: number
  choice: boolean
  type: string
  content: 'primitive' | 'complex' | 'resource'
  primitive?: Primitive
  binding?: Binding
  /** The types a Reference may refer to; absent: any. */
  targets?: ReadonlySet<string>
  /** Those the element adds to its type's. */
  invariants?: Invariant[]
}

export type Shape = {
  name: string
  kind: TypeDefinition['kind']
  rows: Map<string, Row>
  /** The bits of the elements that must be there. */
  required: number
  requiredElements: { name: string; bit: number }[]
}

const shapes = new Map<string, Shape>()

/** The shape of a type that the definitions know. */
export function shapeOf(name: string): Shape {
  let shape = shapes.get(name)
  if (!shape) {
    const definition = typeDefinition(name)!
    shape = make(definition)
    // The name in hand may be a part of somebody's record, and would keep all of it.
    shapes.set(definition.name, shape)
  }
  return shape
}

function make({ name, kind, elements }: TypeDefinition): Shape {
  const rows = new Map<string, Row>()
  const requiredElements: Shape['requiredElements'] = []
  let bits = 0
  for (const element of elements) {
    const bit = element.min || element.choice ? 1 << bits++ : 0
    if (element.min) requiredElements.push({ name: element.name, bit })
    for (const type of element.types) {
      const row = rowOf(element, type, bit)
      rows.set(row.property, row)
      if (row.content === 'primitive' && mayHaveExtensions(name, row))
        rows.set(`_${row.property}`, { ...row, sibling: true })
    }
  }
  return { name, kind, rows, requiredElements, required: requiredElements.reduce((all, { bit }) => all | bit, 0) }
}

function rowOf(element: ElementDefinition, { code, targets }: ElementType, bit: number): Row {
  const rules = primitive(code)
  const { kind } = typeDefinition(code)!
  return {
    element: element.name,
    property: element.choice ? element.name + code[0]!.toUpperCase() + code.slice(1) : element.name,
    sibling: false,
    many: element.many === true,
    bit,
    choice: element.choice === true,
    type: code,
    content: rules ? 'primitive' : kind === 'resource' ? 'resource' : 'complex',
    ...(rules && { primitive: rules }),
    ...(element.binding !== undefined && { binding: binding(element.binding) }),
    ...(element.invariants && { invariants: element.invariants }),
    ...(targets && !targets.includes('Resource') && { targets: new Set(targets) }),
  }
}

/** The ids, Extension.url and the div of a narrative are plain attributes and text, which nothing can be attached to. */
const mayHaveExtensions = (owner: string, { element, type }: Row): boolean =>
  element !== 'id' && type !== 'xhtml' && !(owner === 'Extension' && element === 'url')
