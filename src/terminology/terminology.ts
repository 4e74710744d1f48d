/**
 * What search and validation ask of code systems and value sets.
 *
 * https://hl7.org/fhir/R4/terminology-module.html
 */
export type Code = { system: string; code: string }

/** Types of resources that are found by their canonical URL here. */
export type CanonicalType = 'ValueSet' | 'CodeSystem' | 'ConceptMap'

/** Of a code without a system only the code is compared. `result` is undefined where nobody here can tell; `why` says why not. */
export type Membership = { result: boolean | undefined; why?: string }

export interface Terminology {
  /**
   * The codes of a value set by canonical URL or `ValueSet/id`.
   *
   * @throws FhirError not-found where it is unknown, too-costly where it is larger than `limit`
   */
  expand(url: string, limit: number): Promise<Code[]>
  /** The code and all it subsumes (`:below`), or all that subsume it (`:above`); itself alone where no hierarchy is known. */
  related(code: Code, direction: 'below' | 'above', limit: number): Promise<Code[]>
  /**
   * Whether a code is in a value set, decided by the set's rules without listing it.
   *
   * @throws FhirError not-found where the value set is unknown
   */
  holds(url: string, code: { system?: string; code: string }): Promise<Membership>
}
