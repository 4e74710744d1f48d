/**
 * explain: which plan a command would take, and what it looks at on the way.
 *
 * https://www.mongodb.com/docs/manual/reference/explain-results/
 */

import { isFull } from '../bounds.mjs'
import { isPlain, numberOf } from '../bson.mjs'
import { refuse } from '../errors.mjs'
import { execute } from '../execute.mjs'
import { parseFilter } from '../filter.mjs'
import { AFTER } from '../keys.mjs'
import { checkStages } from '../pipeline.mjs'
import { parseSort } from '../sort.mjs'
import { leading } from './aggregate.mjs'
import { answered, countOf, countQuery, findQuery } from './reads.mjs'

const VERBOSITIES = ['queryPlanner', 'executionStats', 'allPlansExecution']

/** A plan as the tree of stages a server shows. */
export function stagesOf(plan, { sort, limit, skip, project }) {
  let stage = accessOf(plan, sort)
  if (plan.blocking) stage = { stage: 'SORT', sortPattern: sort, inputStage: stage }
  if (skip) stage = { stage: 'SKIP', skipAmount: skip, inputStage: stage }
  if (limit) stage = { stage: 'LIMIT', limitAmount: limit, inputStage: stage }
  if (project) stage = { stage: 'PROJECTION_SIMPLE', inputStage: stage }
  return stage
}

function accessOf(plan, sort) {
  switch (plan.kind) {
    case 'nothing':
      return { stage: 'EOF' }
    case 'records':
      return { stage: 'RECORD_STORE_FAST_COUNT' }
    case 'id':
      return { stage: 'IDHACK' }
    case 'scan':
      return { stage: 'COLLSCAN', direction: plan.direction < 0 ? 'backward' : 'forward' }
    case 'or': {
      const inner = plan.branches.map((branch) => accessOf(branch, sort))
      return { stage: plan.sorted && Object.keys(sort ?? {}).length > 0 ? 'SORT_MERGE' : 'OR', inputStages: inner }
    }
    default: {
      const scan = scanOf(plan)
      if (plan.counting) return { stage: 'COUNT', inputStage: { ...scan, stage: 'COUNT_SCAN' } }
      return { stage: 'FETCH', inputStage: scan }
    }
  }
}

function scanOf(plan) {
  const { index, intervals, direction } = plan
  const scan = {
    stage: 'IXSCAN',
    keyPattern: index.specification.key,
    indexName: index.name,
    isMultiKey: index.multikey,
    isUnique: index.unique,
    isSparse: index.specification.sparse === true,
    isPartial: index.filter !== undefined,
    direction: direction < 0 ? 'backward' : 'forward',
    indexBounds: Object.fromEntries(index.fields.map(({ path }, i) => [path, intervals[i].map(shown)])),
  }
  if (plan.exploded === 0) return scan
  const inputStages = combinations(intervals.slice(0, plan.exploded)).map((leading) => ({
    ...scan,
    indexBounds: {
      ...scan.indexBounds,
      ...Object.fromEntries(leading.map((interval, i) => [index.fields[i].path, [shown(interval)]])),
    },
  }))
  return { stage: 'SORT_MERGE', inputStages }
}

const combinations = (lists) =>
  lists.reduce((all, list) => all.flatMap((one) => list.map((interval) => [...one, interval])), [[]])

/** Bounds are for people to read; they are sort keys, not values. */
function shown({ from, to, point }) {
  if (point !== undefined) return `[${readable(point)}, ${readable(point)}]`
  if (isFull([{ from, to }]) || (from === '' && to === AFTER)) return '[MinKey, MaxKey]'
  return `[${from === '' ? 'MinKey' : readable(from)}, ${to === AFTER ? 'MaxKey' : readable(to)})`
}

const readable = (key) => JSON.stringify(key.slice(1).replaceAll('\0', ''))

function queryOf(context, command) {
  const [name] = Object.keys(command)
  const general = { noScan: context.server.parameters.notablescan, deadline: context.deadline }
  switch (name) {
    case 'find': {
      const query = findQuery(context, command)
      return {
        query,
        shown: { sort: command.sort, skip: query.skip, limit: query.limit - query.skip, project: query.project },
      }
    }
    case 'aggregate': {
      checkStages(command.pipeline)
      const { query, rest } = leading(context, context.namespace(command.aggregate), command.pipeline, {
        hint: command.hint,
        variables: command.let ?? {},
      })
      const sort = command.pipeline.find((stage) => stage.$sort)?.$sort
      return { query, rest, shown: { sort, skip: query.skip, limit: query.limit === 0 ? 0 : query.limit - query.skip } }
    }
    case 'distinct':
      return {
        query: {
          ...general,
          namespace: context.namespace(command.distinct),
          filter: parseFilter(command.query ?? {}),
          sort: parseSort(undefined),
          hint: command.hint,
        },
        shown: {},
      }
    case 'findAndModify':
      return {
        query: {
          ...general,
          namespace: context.namespace(command.findAndModify),
          filter: parseFilter(command.query ?? {}),
          sort: parseSort(command.sort),
          hint: command.hint,
          limit: 1,
        },
        shown: { sort: command.sort, limit: 1 },
      }
    case 'update':
    case 'delete': {
      const statements = command.updates ?? command.deletes
      if (statements?.length !== 1) refuse(2, `explained ${name} must have exactly one statement`)
      const [{ q, hint, multi, limit }] = statements
      const one = name === 'update' ? multi !== true : numberOf(limit) === 1
      return {
        query: {
          ...general,
          namespace: context.namespace(command[name]),
          filter: parseFilter(q),
          sort: parseSort(undefined),
          hint,
          limit: one ? 1 : 0,
        },
        shown: { limit: one ? 1 : 0 },
      }
    }
    default:
      return refuse(59, `Explain failed due to unknown command: ${name}`)
  }
}

function executed(context, command) {
  if (command.count !== undefined) {
    const query = countQuery(context, command)
    const { count, counts, plan } = countOf(context.view, query)
    return { plan, counts, returned: 0, counted: count, query, shown: {}, rejected: [] }
  }
  const { query, rest, shown: display } = queryOf(context, command)
  const run = execute(context.view, query)
  let returned = 0
  for (const _ of answered(run.documents, { skip: query.skip ?? 0, project: query.project })) {
    returned++
    if (query.limit > 0 && returned >= query.limit - (query.skip ?? 0)) break
  }
  return { plan: run.plan, counts: run.counts, rejected: run.rejected, returned, query, rest, shown: display }
}

export const explaining = {
  explain: {
    fields: ['verbosity'],
    run(context, body) {
      const { explain: command, verbosity = 'allPlansExecution' } = body
      if (!isPlain(command)) refuse(14, "Expected field 'explain' to be of type object")
      if (!VERBOSITIES.includes(verbosity))
        refuse(9, 'verbosity string must be one of {queryPlanner, executionStats, allPlansExecution}')
      const started = Date.now()
      const { plan, counts, returned, rejected, query, rest, shown: display } = executed(context, command)
      const winningPlan = stagesOf(plan, display)
      const queryPlanner = {
        namespace: query.namespace,
        indexFilterSet: false,
        winningPlan,
        rejectedPlans: rejected.map((other) => stagesOf(other, display)),
      }
      const executionStats = {
        executionSuccess: true,
        nReturned: returned,
        executionTimeMillis: Date.now() - started,
        totalKeysExamined: counts.keys,
        totalDocsExamined: counts.documents,
        executionStages: { ...winningPlan, nReturned: returned },
      }
      const explained = verbosity === 'queryPlanner' ? { queryPlanner } : { queryPlanner, executionStats }
      const about = { serverInfo: { host: '127.0.0.1', version: 'stand-in' }, command }
      if (!rest || rest.length === 0) return { ...explained, ...about }
      return { stages: [{ $cursor: explained }, ...rest], ...about }
    },
  },
}
