/**
 * What search and validation ask of code systems and value sets.
 *
 * https://hl7.org/fhir/R4/terminology-module.html
 */
export type Code = { system: string; code: string }

export interface Terminology {
  /**
   * The codes of a value set by canonical URL or `ValueSet/id`.
   *
   * @throws FhirError not-found where it is unknown, too-costly where it is larger than `limit`
   */
  expand(url: string, limit: number): Promise<Code[]>
  /** The code and all it subsumes (`:below`), or all that subsume it (`:above`); itself alone where no hierarchy is known. */
  related(code: Code, direction: 'below' | 'above', limit: number): Promise<Code[]>
}
