/**
 * What a check of one resource has found so far, and the place at which it stands.
 *
 * https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
 *
 * The place is kept as a stack and written as FHIRPath only when there is something to report, because a check of a
 * valid resource should cost nothing but looking. It names elements as the definitions do: `Observation.value`, not
 * `Observation.valueQuantity`.
 */
import { setImmediate } from 'node:timers/promises'
import type { Issue, IssueType } from '../fhir/index.js'

/** Most issues one check reports; a resource with more than that is not mended one by one. */
export const issuesMax = 100

/** How long steps go on before others may. */
const stepsMs = 10

/** Thrown inside a check to end it early; never leaves `collect` and `collectInSteps`. */
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
    this.report('error', code, diagnostics)
  }

  report(severity: Issue['severity'], code: IssueType, diagnostics: string): void {
    this.issues.push({ severity, code, diagnostics, ...(this.steps.length > 0 && { expression: [this.expression] }) })
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

/** The same for a check in steps, between which others may go first. */
export async function collectInSteps(check: (findings: Findings) => Iterable<void>): Promise<Issue[]> {
  const findings = new Findings()
  let since = performance.now()
  try {
    for (const _ of check(findings)) {
      if (performance.now() - since < stepsMs) continue
      await setImmediate()
      since = performance.now()
    }
  } catch (error) {
    if (error !== full) throw error
  }
  return findings.issues
}
