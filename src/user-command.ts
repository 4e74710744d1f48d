/**
 * `hospitallink user`: the people who sign in.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import {
  type CommandGroup,
  CommandRefused,
  columns,
  type Input,
  listOf,
  neededOf,
  peopleOf,
  textOf,
} from './command.js'
import type { Ref } from './fhir/index.js'

const several = (value: string, before: string[]): string[] => [...before, value]

/** What is said of somebody who is added or invited. */
const described = (command: Command): Command =>
  command
    .requiredOption('--role <role>', 'a row of capability/roles.json, such as doctor')
    .requiredOption('--user <reference>', 'who it is in FHIR: Practitioner/bob, Patient/1, RelatedPerson/2')
    .option('--organization <id>', 'where the person works; may be repeated', several, [])
    .option('--guardian-of <id>', 'the Patient a guardian stands for; may be repeated', several, [])
    .option('--language <tag>', 'of messages: en, fr, pt or sw')
    .option('--tenant <name>', 'in another tenant than the default one')

type AddOptions = Input & { passwordFile?: string }

export const userCommands: CommandGroup = {
  declare(program, run) {
    const user = program.command('user').description('the people who sign in: add, invite, list, change, disable')
    described(user.command('add'))
      .description('make an account')
      .argument('<name>')
      .option('--user-name <name>', 'to sign in with a password')
      .option('--contact <address>', 'e-mail address, or number that begins with +; may be repeated', several, [])
      .option('--password-file <file>', 'file with the first password; - reads standard input')
      .addHelpText(
        'after',
        '\nExample: hospitallink user add "Bob Odhiambo" --role doctor --user Practitioner/bob --organization a --user-name bob --password-file -',
      )
      .action((name: string, { passwordFile, ...options }: AddOptions) =>
        run('user add', {
          name,
          ...options,
          ...(passwordFile !== undefined && {
            password: readFileSync(passwordFile === '-' ? 0 : passwordFile, 'utf8').replace(/\r?\n$/, ''),
          }),
        }),
      )
    described(user.command('invite'))
      .description('send somebody a link to an account of their own; it is printed, too')
      .argument('<name>')
      .requiredOption('--contact <address>', 'e-mail address, or number that begins with +')
      .addHelpText(
        'after',
        '\nExample: hospitallink user invite "Asha Njoroge" --role nurse --user Practitioner/asha --organization a --contact asha@hospital.example',
      )
      .action((name: string, options: Input) => run('user invite', { name, ...options }))
    user
      .command('list')
      .description('show the accounts')
      .option('--json', 'one JSON object a line')
      .option('--tenant <name>', 'of another tenant than the default one')
      .addHelpText('after', '\nExample: hospitallink user list --json')
      .action((options: Input) => run('user list', options))
    const ofSubject = (word: string, says: string): Command =>
      user
        .command(word)
        .description(says)
        .argument('<subject>', 'as "user list" shows it')
        .option('--tenant <name>', 'of another tenant than the default one')
        .addHelpText('after', `\nExample: hospitallink user ${word} SUBJECT${word === 'role' ? ' nurse' : ''}`)
    for (const [word, says] of [
      ['disable', 'end an account: its sessions and tokens end with it'],
      ['enable', 'let a disabled account sign in again'],
      ['renew', 'print a link to new credentials'],
      ['sign-out', 'end all sessions of the person'],
    ] as const)
      ofSubject(word, says).action((subject: string, options: Input) => run(`user ${word}`, { subject, ...options }))
    ofSubject('role', 'give an account another role, or other organisations')
      .argument('<role>')
      .option('--organization <id>', 'where the person works now; may be repeated', several, [])
      .action((subject: string, role: string, options: Input) => run('user role', { subject, role, ...options }))
    user
      .command('first')
      .description('print the link with which the first administrator is made; while there is none')
      .option('--tenant <name>', 'of another tenant than the default one')
      .addHelpText('after', '\nExample: hospitallink user first')
      .action((options: Input) => run('user first', options))
  },
  actions: {
    'user add': async (operated, input) => {
      await checkRole(neededOf(input, 'role'))
      const people = await peopleOf(operated, input)
      const userName = textOf(input, 'userName')
      const password = textOf(input, 'password')
      const contacts = listOf(input, 'contact')
      const { subject } = await people.create({
        ...describedIn(input),
        ...(userName !== undefined && { userName }),
        ...(contacts.length && { contacts }),
        ...(password !== undefined && { password }),
      })
      return [subject]
    },
    'user invite': async (operated, input) => {
      await checkRole(neededOf(input, 'role'))
      const people = await peopleOf(operated, input)
      const { link } = await people.invite({ ...describedIn(input), contact: neededOf(input, 'contact') })
      return [link]
    },
    'user list': async (operated, input) => {
      const { accounts } = await peopleOf(operated, input)
      const all = await accounts.list(10_000)
      if (input['json'] === true) return all.map(({ person: _, ...account }) => JSON.stringify(account))
      const rows = all.map(({ subject, role, user, name, disabled }) => [
        subject,
        disabled ? 'disabled' : 'active',
        role,
        `${user.type}/${user.id}`,
        name,
      ])
      return columns([['SUBJECT', 'STATUS', 'ROLE', 'USER', 'NAME'], ...rows])
    },
    'user disable': async (operated, input) => {
      const { name } = await (await peopleOf(operated, input)).change(neededOf(input, 'subject'), { disabled: true })
      return [`${name} cannot sign in any more.`]
    },
    'user enable': async (operated, input) => {
      const { name } = await (await peopleOf(operated, input)).change(neededOf(input, 'subject'), { disabled: false })
      return [`${name} may sign in again.`]
    },
    'user role': async (operated, input) => {
      await checkRole(neededOf(input, 'role'))
      const organizations = listOf(input, 'organization')
      const { name, role } = await (await peopleOf(operated, input)).change(neededOf(input, 'subject'), {
        role: neededOf(input, 'role'),
        ...(organizations.length && { organizations: organizations.map(idOf) }),
      })
      return [`${name} is ${role}; what was signed in before has ended.`]
    },
    'user renew': async (operated, input) => [
      (await (await peopleOf(operated, input)).renew(neededOf(input, 'subject'))).link,
    ],
    'user sign-out': async (operated, input) => {
      await (await peopleOf(operated, input)).signOutEverywhere(neededOf(input, 'subject'))
      return ['All sessions have ended.']
    },
    'user first': async (operated, input) => {
      const link = await (await peopleOf(operated, input)).firstAdministrator()
      if (link === undefined) throw new CommandRefused('There is an administrator already, who invites others.')
      return [link]
    },
  },
}

/** Somebody with a misspelt role would see nothing, and nobody would know why. */
async function checkRole(role: string): Promise<void> {
  const { roleTable } = await import('./access/index.js')
  if (!roleTable.roles.has(role))
    throw new CommandRefused(`There is no role "${role}"; there are ${[...roleTable.roles.keys()].join(', ')}.`)
}

function describedIn(input: Input) {
  const language = textOf(input, 'language')
  const guardianOf = listOf(input, 'guardianOf')
  return {
    name: neededOf(input, 'name'),
    role: neededOf(input, 'role'),
    user: refOf(neededOf(input, 'user')),
    organizations: listOf(input, 'organization').map(idOf),
    ...(language !== undefined && { language }),
    ...(guardianOf.length && { guardianOf: guardianOf.map((each) => each.replace(/^Patient\//, '')) }),
  }
}

const idOf = (reference: string): string => reference.replace(/^Organization\//, '')

function refOf(text: string): Ref {
  const [, type, id] =
    /^(Practitioner|PractitionerRole|Patient|RelatedPerson|Person)\/([A-Za-z0-9.-]{1,64})$/.exec(text) ?? []
  if (type === undefined || id === undefined)
    throw new CommandRefused(
      '--user is a Practitioner, PractitionerRole, Patient, RelatedPerson or Person, such as Practitioner/bob.',
    )
  return { type, id }
}
