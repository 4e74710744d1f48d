/**
 * A parameter that cannot be applied: refused, or with lenient handling left out and named.
 *
 * https://hl7.org/fhir/R4/search.html#errors
 */
import { FhirError, type Issue } from '../fhir/index.js'

const quotedMax = 800

/** Unlike other failures (a value that is no date), this one yields to `Prefer: handling=lenient`. */
export class Refused extends FhirError {
  constructor(diagnostics: string, parameter: string) {
    // It quotes what was sent, which may be of any length.
    const short = diagnostics.length > quotedMax ? `${diagnostics.slice(0, quotedMax)}…` : diagnostics
    super(400, [{ severity: 'error', code: 'not-supported', diagnostics: short, expression: [parameter] }])
  }

  /** What is told of it when the search goes on without the parameter. */
  get ignored(): Issue[] {
    return this.issues.map((issue) => ({ ...issue, severity: 'warning' }))
  }
}

/** `; did you mean "code"?`, or nothing where no known word is near. */
export function didYouMean(word: string, known: Iterable<string>): string {
  let best: string | undefined
  let bestDistance = Math.min(Math.max(2, Math.floor(word.length / 3)) + 1, word.length)
  for (const each of known) {
    if (Math.abs(each.length - word.length) >= bestDistance) continue
    const distance = editDistance(word.toLowerCase(), each.toLowerCase())
    if (distance < bestDistance) {
      best = each
      bestDistance = distance
    }
  }
  return best === undefined ? '' : `; did you mean "${best}"?`
}

/** Insertions, deletions and replacements of a letter; words are cut so that nobody can make this long. */
function editDistance(a: string, b: string): number {
  const to = b.slice(0, 64)
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...a.slice(0, 64)].entries()) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++)
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (letter === to[j] ? 0 : 1)))
    row = next
  }
  return row.at(-1)!
}
