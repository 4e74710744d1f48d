/**
 * What a check of one resource has found so far, and the place at which it stands.
 *
 * https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
 *
 * The place is kept as a stack and written as FHIRPath only when there is something to report, because a check of a
 * valid resource should cost nothing but looking. It names elements as the definitions do: `Observation.value`, not
 * `Observation.valueQuantity`.
 */
import type { Issue, IssueType } from '../fhir/index.js'

/** Most issues one check reports; a resource with more than that is not mended one by one. */
export const issuesMax = 100

/** Thrown inside a check to end it early; never leaves `collect`. */
const full = Symbol('full')

export class Findings {
  readonly issues: Issue[] = []
  private readonly steps: (string | number)[] = []

  enter(step: string | number): void {
    this.steps.push(step)
  }

  leave(): void {
    this.steps.pop()
  }

  get depth(): number {
    return this.steps.length
  }

  /** FHIRPath of the place: `Patient.name[0].family`. */
  get expression(): string {
    let text = ''
    for (const step of this.steps) text += typeof step === 'number' ? `[${step}]` : text ? `.${step}` : step
    return text
  }

  error(code: IssueType, diagnostics: string): void {
    this.add({ severity: 'error', code, diagnostics, ...(this.steps.length > 0 && { expression: [this.expression] }) })
  }

  add(issue: Issue): void {
    this.issues.push(issue)
    if (this.issues.length >= issuesMax) throw full
  }
}

/** All issues that `check` finds, until there are `issuesMax`. */
export function collect(check: (findings: Findings) => void): Issue[] {
  const findings = new Findings()
  try {
    check(findings)
  } catch (error) {
    if (error !== full) throw error
  }
  return findings.issues
}
