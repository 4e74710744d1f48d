/**
 * Filters of the query language, put together from values only: no value ever stands where an operator may.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/query/
 */
export type Filter = { [path: string]: unknown }

/** What begins with the text, as a range: patterns would scan, and none is ever made from what somebody sent. */
export function startingWith(text: string): Filter {
  const end = after(text)
  return { $elemMatch: end === undefined ? { $gte: text } : { $gte: text, $lt: end } }
}

/** The first text that no longer begins with it; texts are in the order of their code points. */
export function after(text: string): string | undefined {
  const points = [...text]
  while (points.length) {
    const last = points.pop()!.codePointAt(0)!
    if (last === 0x10ffff) continue
    points.push(String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1))
    return points.join('')
  }
  return undefined
}

const operators: Record<string, string> = { $gt: '$gt', $gte: '$gte', $lt: '$lt', $lte: '$lte' }

/**
 * A filter of our own making as an expression on a variable, for what must hold in one and the same element together
 * with what only an expression can say.
 */
export function asExpression(filter: Filter, on: string): unknown {
  const of = Object.entries(filter).map(([path, test]): unknown => {
    switch (path) {
      case '$and':
        return { $and: (test as Filter[]).map((each) => asExpression(each, on)) }
      case '$or':
        return { $or: (test as Filter[]).map((each) => asExpression(each, on)) }
      case '$expr':
        return test
    }
    const list = { $ifNull: [`${on}.${path}`, []] }
    if (typeof test === 'string') return { $in: [{ $literal: test }, list] }
    const { $in: values, $elemMatch: element, ...rest } = test as Filter
    if (Array.isArray(values)) return { $gt: [{ $size: { $setIntersection: [list, { $literal: values }] } }, 0] }
    if (element === undefined) return comparisons(rest, `${on}.${path}`)
    return some(list, (each) => elementExpression(element as Filter, each))
  })
  return of.length === 1 ? of[0] : { $and: of }
}

/** Of an element that is a text (comparisons alone) or one with members. */
function elementExpression(element: Filter, each: string): unknown {
  if (Object.keys(element).every((key) => key in operators)) return comparisons(element, each)
  const of = Object.entries(element).map(([member, test]): unknown => {
    if (member === '$or') return { $or: (test as Filter[]).map((one) => elementExpression(one, each)) }
    if (typeof test !== 'object') return { $eq: [`${each}.${member}`, { $literal: test }] }
    return comparisons(test as Filter, `${each}.${member}`)
  })
  return { $and: of }
}

const comparisons = (test: Filter, on: string): unknown => ({
  $and: Object.entries(test).map(([operator, value]) => ({ [operators[operator]!]: [on, { $literal: value }] })),
})

let variables = 0

/** Whether some element of a list satisfies a condition. */
export function some(list: unknown, condition: (each: string) => unknown): unknown {
  variables = (variables + 1) % 1000
  const name = `e${variables}`
  return { $gt: [{ $size: { $filter: { input: list, as: name, cond: condition(`$$${name}`) } } }, 0] }
}
