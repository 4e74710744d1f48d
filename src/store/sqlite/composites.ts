/**
 * Composites: one component leads and is found by its index, the others are looked at in the packed entries.
 *
 * https://hl7.org/fhir/R4/search.html#composite
 */
import type { CompositeTest, Expression } from '../../search/index.js'
import { passes } from './intervals.js'
import { seriesOf } from './periods.js'
import type { Plan } from './plan.js'
import { componentCode } from './post.js'
import { anyComposite, type ComponentValue } from './posted.js'
import { urlTerms } from './references.js'
import { restricted, type Scope, type Source } from './source.js'
import type { Sql } from './sql.js'
import { termsWhere } from './terms.js'

/** The component whose values are in an index, as a test of its own. */
export function leadOf(plan: Plan, scope: Scope, { param, of }: CompositeTest): Expression | undefined {
  if (plan.lookup.pid(scope.tid, param, 'composite') === undefined) return undefined
  const exact = of.findIndex(({ op }) => op !== 'interval' && op !== 'quantity')
  return ofComponent(param, of[Math.max(exact, 0)]!)
}

export function fromComposite(plan: Plan, scope: Scope, test: CompositeTest): Source | undefined | 'none' {
  const lead = leadOf(plan, scope, test)
  const source = lead && plan.source(scope, lead)
  if (!source || source === 'none') return undefined
  return restricted(source, (rid) => testComposite(plan, scope, test, rid))
}

export function testComposite(plan: Plan, scope: Scope, { param, of }: CompositeTest, rid: Sql): Sql {
  const pid = plan.lookup.pid(scope.tid, param, 'composite')!
  const tests = of.map((test) => component(plan, scope, param, test))
  return plan.ask((data) => (anyComposite(data, pid, tests) ? 1 : 0), rid)
}

function component(plan: Plan, scope: Scope, composite: string, leaf: Expression): (value: ComponentValue) => boolean {
  const test = ofComponent(composite, leaf)
  switch (test?.op) {
    case 'token':
    case 'string':
    case 'uri': {
      const where = termsWhere(plan, scope, test)
      const terms = new Set(where ? plan.lookup.terms(where) : [])
      return (value) => value.kind === 'term' && terms.has(value.term)
    }
    case 'reference': {
      const { target } = test
      if ('url' in target || target.version !== undefined) {
        const terms = new Set(urlTerms(plan, scope, test.param, target))
        return (value) => value.kind === 'term' && terms.has(value.term)
      }
      const rid = plan.row(target.type, target.id)?.rid
      return (value) => value.kind === 'target' && value.target === rid
    }
    case 'interval':
    case 'quantity': {
      const series = new Set(seriesOf(plan, scope, test)?.series.map(({ term }) => term))
      const pass = passes(test)
      return (value) => value.kind === 'interval' && series.has(value.series) && pass(value.lo, value.hi)
    }
    default:
      return () => false
  }
}

/** A test on a component of a composite, as a test of the parameter that stands for the component. */
function ofComponent(composite: string, leaf: Expression) {
  switch (leaf.op) {
    case 'token':
    case 'string':
    case 'uri':
    case 'reference':
    case 'interval':
    case 'quantity':
      return { ...leaf, param: componentCode(composite, leaf.param) }
    default:
      return undefined
  }
}
