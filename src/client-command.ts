/**
 * `hospitallink client`: the apps and systems that may ask for tokens.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
 */
import { readFileSync } from 'node:fs'
import { type CommandGroup, CommandRefused, columns, type Input, listOf, neededOf, smartOf, textOf } from './command.js'
import type { RegisteredClient, Registration } from './smart/index.js'

type AddOptions = {
  id?: string
  redirectUri: string[]
  launchUri?: string
  scope?: string
  jwks?: string
  jwksUri?: string
  secret?: true
  role?: string
  organization: string[]
  purpose: string[]
  firstParty?: true
  tenant?: string
}

const several = (value: string, before: string[]): string[] => [...before, value]

export const clientCommands: CommandGroup = {
  declare(program, run) {
    const client = program.command('client').description('register apps and systems, and approve those that wait')
    client
      .command('add')
      .description('register an app (with redirect URIs) or a backend system (with keys and system/ scopes)')
      .argument('<name>', 'as people see it when they are asked')
      .option('--id <client_id>', 'the client_id; made unless said')
      .option('--redirect-uri <uri>', 'where the browser goes back to; may be repeated', several, [])
      .option('--launch-uri <uri>', 'where the EHR opens the app')
      .option('--scope <scopes>', 'the most it is granted; for a system what it is pre-authorised for')
      .option('--jwks <file>', 'file with its public keys (private_key_jwt)')
      .option('--jwks-uri <url>', 'where it publishes its keys (private_key_jwt)')
      .option('--secret', 'make a client secret, printed once (client_secret_basic)')
      .option('--role <role>', 'of a system: its row of capability/roles.json')
      .option('--organization <id>', 'of a system: whom it acts for; may be repeated', several, [])
      .option(
        '--purpose <code>',
        'of a system: its purposes of use, the first by default; may be repeated',
        several,
        [],
      )
      .option('--first-party', "part of the hospital's own system: people are not asked")
      .option('--tenant <name>', 'in another tenant than the default one')
      .addHelpText(
        'after',
        '\nExample: hospitallink client add "Growth chart" --redirect-uri https://growth.example/back' +
          '\n         hospitallink client add Laboratory --jwks keys.json --scope "system/Observation.cu" --organization north',
      )
      .action(async (name: string, { jwks, ...options }: AddOptions) =>
        run('client add', { name, ...options, ...(jwks !== undefined && { jwks: readFileSync(jwks, 'utf8') }) }),
      )
    client
      .command('list')
      .description('show the clients')
      .option('--pending', 'only those that wait for approval')
      .option('--json', 'one JSON object a line')
      .option('--tenant <name>', 'of another tenant than the default one')
      .addHelpText('after', '\nExample: hospitallink client list --pending')
      .action((options: Input) => run('client list', options))
    for (const [word, says] of [
      ['approve', 'let a client act that registered itself, or was disabled'],
      ['disable', 'let a client act no more; its tokens end'],
      ['renew-secret', 'make a new secret, printed once; the one before ends'],
    ] as const)
      client
        .command(word)
        .description(says)
        .argument('<client_id>')
        .option('--tenant <name>', 'of another tenant than the default one')
        .addHelpText('after', `\nExample: hospitallink client ${word} growth-chart`)
        .action((id: string, options: Input) => run(`client ${word}`, { id, ...options }))
  },
  actions: {
    'client add': async (operated, input) => {
      const { clients } = await smartOf(operated, input)
      const { client, secret } = await clients.register(registrationOf(input))
      return [
        `client_id: ${client.id}`,
        ...(secret === undefined
          ? []
          : [`client_secret: ${secret}`, 'The secret is shown this once and stored nowhere.']),
      ]
    },
    'client list': async (operated, input) => {
      const { clients } = await smartOf(operated, input)
      const all = (await clients.list(10_000)).filter(({ status }) => input['pending'] !== true || status === 'pending')
      if (input['json'] === true) return all.map(({ secretHash: _, ...client }) => JSON.stringify(client))
      const rows = all.map(({ id, status, authentication, name }) => [id, status, authentication, name])
      return columns([['CLIENT_ID', 'STATUS', 'AUTHENTICATION', 'NAME'], ...rows])
    },
    'client approve': async (operated, input) => [`${await standing('active', operated, input)} may act.`],
    'client disable': async (operated, input) => [`${await standing('disabled', operated, input)} may act no more.`],
    'client renew-secret': async (operated, input) => {
      const { clients } = await smartOf(operated, input)
      const id = neededOf(input, 'id')
      if ((await clients.find(id))?.authentication !== 'client_secret_basic')
        throw new CommandRefused(`There is no client "${id}" with a secret.`)
      return [`client_secret: ${await clients.renewSecret(id)}`]
    },
  },
}

function registrationOf(input: Input): Registration {
  const jwks = textOf(input, 'jwks')
  const jwksUri = textOf(input, 'jwksUri')
  const text = (name: string) => {
    const value = textOf(input, name)
    return value === undefined ? {} : { [name]: value }
  }
  const list = (name: string, option: string) => {
    const values = listOf(input, option)
    return values.length ? { [name]: values } : {}
  }
  return {
    name: neededOf(input, 'name'),
    ...text('id'),
    ...text('launchUri'),
    ...text('scope'),
    ...text('role'),
    ...text('jwksUri'),
    ...list('redirectUris', 'redirectUri'),
    ...list('organizations', 'organization'),
    ...list('purposes', 'purpose'),
    ...(jwks !== undefined && { jwks: keysIn(jwks) }),
    ...(jwks !== undefined || jwksUri !== undefined ? { authentication: 'private_key_jwt' as const } : {}),
    ...(input['secret'] === true && { authentication: 'client_secret_basic' as const }),
    ...(input['firstParty'] === true && { firstParty: true }),
  }
}

/** A JWK Set, or one key alone. */
function keysIn(text: string): NonNullable<RegisteredClient['jwks']> {
  try {
    const parsed = JSON.parse(text) as { keys?: unknown }
    if (Array.isArray(parsed.keys)) return parsed as NonNullable<RegisteredClient['jwks']>
    if (typeof parsed === 'object' && parsed !== null) return { keys: [parsed as never] }
  } catch (cause) {
    throw new CommandRefused('The file of keys is not JSON.', { cause })
  }
  throw new CommandRefused('The file of keys holds no JWK Set.')
}

async function standing(
  status: RegisteredClient['status'],
  ...[operated, input]: Parameters<typeof smartOf>
): Promise<string> {
  const { clients, verifier } = await smartOf(operated, input)
  const id = neededOf(input, 'id')
  const client = await clients.change(id, (was) => ({ ...was, status }))
  if (!client) throw new CommandRefused(`There is no client "${id}"; "hospitallink client list" shows them.`)
  verifier.forget()
  return client.id
}
