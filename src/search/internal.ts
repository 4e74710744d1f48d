/**
 * What the server itself searches by and no client can name: the custodian of a resource, and when members belong.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * A code of a search parameter has no colon before its modifier, so these never meet one of R4 or an uploaded one.
 */
import { dateMax, dateMin, isObject, type Json, type JsonObject } from '../fhir/index.js'
import { dateEmitter } from './dates.js'
import type { Emit, Sink } from './entries.js'
import type { IndexEntry } from './expression.js'
import { referenceEmitter } from './references.js'

/** A token on every type: the id of the Organization that is the custodian. */
export const custodianParam = ':custodian'
/** A composite on CareTeam and Encounter: `$0` who takes part, `$1` from when to when. */
export const participantParam = ':participant'
/** An interval on RelatedPerson, which R4 has no parameter for. */
export const periodParam = ':period'
/** A reference on Binary, which R4 has no parameter for. */
export const securityContextParam = ':security-context'

/** Where a resource says whose it is: an extension of meta, which the server writes and clients cannot. */
export const custodianUrl = 'https://hospitallink.example/fhir/StructureDefinition/custodian'

/** The id of the custodian a resource names. */
export function custodianOf(resource: JsonObject): string | undefined {
  const { meta } = resource
  const extensions = isObject(meta) ? meta['extension'] : undefined
  if (!Array.isArray(extensions)) return undefined
  for (const extension of extensions) {
    if (!isObject(extension) || extension['url'] !== custodianUrl) continue
    const { valueReference } = extension
    const text = isObject(valueReference) ? valueReference['reference'] : undefined
    const [, id] = (typeof text === 'string' && /^Organization\/([A-Za-z0-9\-.]{1,64})$/.exec(text)) || []
    if (id !== undefined) return id
  }
  return undefined
}

type InternalRule = { property: string; rule: Emit }

const custodianRule: InternalRule = {
  property: 'meta',
  rule: (resource, { entries }) => {
    const code = custodianOf(resource as JsonObject)
    if (code !== undefined) entries.push({ kind: 'token', param: custodianParam, code })
  },
}

const periodRule: InternalRule = {
  property: 'period',
  rule: onProperty('period', dateEmitter(periodParam, 'Period')!),
}

const securityContextRule: InternalRule = {
  property: 'securityContext',
  rule: onProperty('securityContext', referenceEmitter(securityContextParam, 'Reference')!),
}

/** What else is indexed of a type, by the property it is read from. */
export function internalRules(type: string): InternalRule[] {
  switch (type) {
    case 'RelatedPerson':
      return [custodianRule, periodRule]
    case 'Binary':
      return [custodianRule, securityContextRule]
    case 'CareTeam':
      return [custodianRule, participantRule('member')]
    case 'Encounter':
      return [custodianRule, participantRule('individual')]
    default:
      return [custodianRule]
  }
}

function onProperty(property: string, emit: Emit): Emit {
  return (resource, sink) => {
    const value = (resource as JsonObject)[property]
    if (value !== undefined) emit(value, sink)
  }
}

/** An entry for each participant; one without a period always was and will be. */
function participantRule(who: string): InternalRule {
  const reference = referenceEmitter('$0', 'Reference')!
  const period = dateEmitter('$1', 'Period')!
  const read = (emit: Emit, value: Json | undefined, sink: Sink): IndexEntry[] => {
    const own: Sink = { ...sink, entries: [] }
    if (value !== undefined) emit(value, own)
    return own.entries
  }
  return {
    property: 'participant',
    rule: (resource, sink) => {
      const { participant } = resource as JsonObject
      if (!Array.isArray(participant)) return
      for (const each of participant) {
        if (!isObject(each)) continue
        const members = read(reference, each[who], sink).filter(({ kind }) => kind === 'reference')
        if (members.length === 0) continue
        const when = read(period, each['period'], sink)
        const always: IndexEntry = { kind: 'interval', param: '$1', lo: dateMin, hi: dateMax }
        sink.entries.push({
          kind: 'composite',
          param: participantParam,
          components: [members, when.length ? when : [always]],
        })
      }
    },
  }
}
