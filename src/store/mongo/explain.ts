/**
 * How a query would be answered: the stages of the winning plan, without a value of what was searched.
 *
 * https://www.mongodb.com/docs/manual/reference/explain-results/
 */
import type { Document } from 'mongodb'
import type { Query, Reach } from '../../search/index.js'
import type { Reader } from './reader.js'
import type { Search } from './search.js'

export async function explain(search: Search, reader: Reader, query: Query, reach: Reach): Promise<string[]> {
  const lines: string[] = []
  for (const { type, pipeline } of await search.pipelines(reader, query, reach)) {
    const answer = await reader.db.collection(type).aggregate(pipeline).explain('queryPlanner')
    lines.push(type, ...stagesOf(winning(answer), 1))
  }
  return lines.length ? lines : ['nothing can be found: no command']
}

/** The plan, wherever the version of the server puts it. */
function winning(answer: Document): Document | undefined {
  const planner = answer['queryPlanner'] ?? answer['stages']?.[0]?.['$cursor']?.['queryPlanner']
  const plan = planner?.['winningPlan']
  return plan?.['queryPlan'] ?? plan
}

function stagesOf(stage: Document | undefined, depth: number): string[] {
  if (!stage) return []
  const name = stage['indexName'] === undefined ? '' : ` ${stage['indexName']}`
  const inner: Document[] = [...(stage['inputStage'] ? [stage['inputStage']] : []), ...(stage['inputStages'] ?? [])]
  return [`${'  '.repeat(depth)}${stage['stage']}${name}`, ...inner.flatMap((each) => stagesOf(each, depth + 1))]
}
