/**
 * `hospitallink token`: access tokens for development and tests, without a sign-in behind them.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
import { readFileSync } from 'node:fs'
import { type CommandGroup, CommandRefused, listOf, type Operated, smartOf } from './command.js'
import type { CallerSpec } from './smart/index.js'

/** What may be said of a caller, and the JSON type it has. */
const members: Readonly<Record<string, 'string' | 'number' | 'list'>> = {
  user: 'string',
  client: 'string',
  role: 'string',
  organizations: 'list',
  scope: 'string',
  purpose: 'string',
  patient: 'string',
  encounter: 'string',
  tenant: 'string',
  name: 'string',
  subject: 'string',
  methods: 'list',
  expiresIn: 'number',
}

const example =
  '{"user":"Practitioner/bob","role":"doctor","organizations":["Organization/a"],"scope":"user/*.cruds","purpose":"TREAT"}'

export const tokenCommands: CommandGroup = {
  declare(program, run) {
    program
      .command('token')
      .description('print an access token for development; refused while NODE_ENV=production')
      .option('--caller <json>', 'who asks; every member but user or client has a default')
      .option('--callers <file>', 'many of them, one JSON object a line; the tokens come in the same order')
      .addHelpText(
        'after',
        `\nMembers: ${Object.keys(members).join(', ')}.\n\nExample: hospitallink token --caller '${example}'`,
      )
      .action(({ caller, callers }: { caller?: string; callers?: string }) => {
        if ((caller === undefined) === (callers === undefined))
          throw new CommandRefused('Give either --caller or --callers.')
        if (process.env['NODE_ENV'] === 'production')
          throw new CommandRefused(
            'Development tokens are refused while NODE_ENV=production; register a client instead.',
          )
        const lines = caller !== undefined ? [caller] : linesOf(callers!)
        return run('token', { callers: lines })
      })
  },
  actions: {
    token: async (operated, input) => {
      const tokens: string[] = []
      const callers = listOf(input, 'callers')
      for (const [at, line] of callers.entries())
        tokens.push(await tokenOf(operated, line, callers.length > 1 ? `Line ${at + 1}: ` : ''))
      return tokens
    },
  },
}

const linesOf = (file: string): string[] =>
  readFileSync(file === '-' ? 0 : file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')

async function tokenOf(operated: Operated, line: string, place: string): Promise<string> {
  const { mintToken, MintRefused } = await import('./smart/index.js')
  const { tenant, ...spec } = specOf(line, place)
  const smart = await smartOf(operated, { tenant })
  try {
    return await mintToken(smart, spec)
  } catch (error) {
    if (!(error instanceof MintRefused)) throw error
    throw new CommandRefused(`${place}${error.message}`, { cause: error })
  }
}

function specOf(line: string, place: string): CallerSpec & { tenant?: string } {
  let caller: unknown
  try {
    caller = JSON.parse(line)
  } catch (cause) {
    throw new CommandRefused(`${place}A caller is a JSON object, such as ${example}`, { cause })
  }
  if (typeof caller !== 'object' || caller === null || Array.isArray(caller))
    throw new CommandRefused(`${place}A caller is a JSON object, such as ${example}`)
  for (const [name, value] of Object.entries(caller)) {
    const type = Object.hasOwn(members, name) ? members[name] : undefined
    if (type === undefined)
      throw new CommandRefused(`${place}A caller has no "${name}"; there are ${Object.keys(members).join(', ')}.`)
    const isRight =
      type === 'list' ? Array.isArray(value) && value.every((each) => typeof each === 'string') : typeof value === type
    if (!isRight) throw new CommandRefused(`${place}"${name}" must be a ${type === 'list' ? 'list of strings' : type}.`)
  }
  return caller as CallerSpec & { tenant?: string }
}
