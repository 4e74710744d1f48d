/**
 * Compartment search: the resources of a type that belong to one patient, encounter, practitioner, device, …
 *
 * https://hl7.org/fhir/R4/compartmentdefinition.html
 */
import { compartments, isId, isResourceType, notFound, resourceTypes, unsupported } from '../fhir/index.js'
import { type Expression, or } from './expression.js'

/** R4's own word for the resource the compartment is named after. */
const SELF = '{def}'

/** The types that can be members of a compartment, the type it is named after included. */
export function memberTypes(compartment: string): readonly string[] {
  const definition = Object.hasOwn(compartments, compartment) ? compartments[compartment] : undefined
  if (!definition)
    throw unsupported(`there is no ${compartment} compartment; there are ${Object.keys(compartments).join(', ')}`)
  return resourceTypes.filter((type) => type === compartment || Object.hasOwn(definition, type))
}

/**
 * What makes a resource of a type a member.
 *
 * @throws FhirError where no resource of the type can be one
 */
export function compartment({ type: of, id }: { type: string; id: string }, type: string): Expression {
  if (!isResourceType(type)) throw notFound(`there is no resource type "${type}"`)
  if (!memberTypes(of).includes(type)) throw unsupported(`${type} is not part of the ${of} compartment`)
  if (!isId(id)) throw notFound(`"${of}" has no such id`)
  const params = (compartments[of]?.[type] ?? []).filter((param) => param !== SELF)
  const refers = params.map((param): Expression => ({ op: 'reference', param, target: { type: of, id } }))
  return type === of ? or({ op: 'ids', ids: [id] }, ...refers) : or(...refers)
}
