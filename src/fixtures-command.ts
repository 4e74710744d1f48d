/**
 * `hospitallink fixtures`: two tenants with people, apps and tokens of every kind, for tests that ask a server.
 *
 * https://inferno-framework.github.io/docs/
 *
 * All people are invented. What is printed opens the server it was made on: never for production.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import jwt from 'jsonwebtoken'
import { type CommandGroup, CommandRefused, type Operated, worldOf } from './command.js'
import type { Resource } from './fhir/index.js'
import type { World } from './site.js'
import type { AuthorizationServer, CallerSpec } from './smart/index.js'

const otherTenant = 'fixtures'
const hospital = 'fixture-hospital'
const clinician = 'fixture-clinician'
const redirectUri = 'http://localhost:4567/redirect'
const backendScope = 'system/*.rs'
const seconds = 4 * 3600

export const fixturesCommands: CommandGroup = {
  declare(program, run) {
    program
      .command('fixtures')
      .description('make tenants, people, apps and tokens for tests, and print them as NAME=value lines')
      .addHelpText('after', '\nExample: hospitallink fixtures > fixtures.env')
      .action(() => run('fixtures', {}))
  },
  actions: {
    fixtures: async (operated) => Object.entries(await fixtures(operated)).map(([name, value]) => `${name}=${value}`),
  },
}

type Tenant = { world: World; smart: AuthorizationServer; mint: (spec: CallerSpec) => Promise<string>; patient: string }

async function fixtures(operated: Operated): Promise<Record<string, string>> {
  if (process.env['NODE_ENV'] === 'production')
    throw new CommandRefused('Fixtures are refused while NODE_ENV=production: they hold open doors.')
  await operated.site.addTenant({ name: otherTenant, title: 'Fixtures' })
  const a = await tenantOf(operated, undefined)
  const b = await tenantOf(operated, otherTenant)
  const run = randomBytes(4).toString('hex')
  const { mint, smart, world, patient } = a
  const asDoctor = { ...doctor, expiresIn: seconds }
  const past = Math.floor(world.context.clock() / 1000)
  const asPatient = { user: `Patient/${patient}`, role: 'patient', expiresIn: seconds }
  const people = await peopleOf(operated, a, run)
  const app = await appOf(smart, run)
  const backend = await backendOf(smart, run)
  const revoked = await mint(asDoctor)
  await revoke(smart, revoked)
  const { issuer } = smart.context
  const contact = { contact: people.contact }
  return {
    TENANT_A: world.tenant,
    TOKEN_A: await mint(asDoctor),
    TOKEN_B: await b.mint(asDoctor),
    TOKEN_PATIENT: await mint(asPatient),
    PATIENT_ID: patient,
    TOKEN_RO: await mint({ ...asDoctor, scope: 'user/Patient.rs' }),
    TOKEN_GRANULAR: await mint({ ...asDoctor, scope: 'user/Patient.rs user/Observation.rs?category=laboratory' }),
    TOKEN_ADMIN: await mint({
      user: 'Practitioner/fixture-administrator',
      role: 'tenant-administrator',
      expiresIn: seconds,
    }),
    TOKEN_EXPIRED: await mint({ ...asDoctor, expiresIn: -60 }),
    TOKEN_REVOKED: revoked,
    TOKEN_WRONG_AUD: await mint({ ...asDoctor, wrong: { audience: 'https://elsewhere.example/fhir' } }),
    TOKEN_WRONG_ISS: await mint({ ...asDoctor, wrong: { issuer: 'https://elsewhere.example' } }),
    TOKEN_NBF_FUTURE: await mint({ ...asDoctor, wrong: { notBefore: past + seconds / 2 } }),
    ID_TOKEN: await idToken(smart, { subject: people.subject, client: app, patient }),
    REFRESH_TOKEN: await smart.mintRefreshToken({
      client: app,
      subject: people.subject,
      scope: 'openid fhirUser offline_access launch/patient patient/*.rs',
      patient,
    }),
    CLIENT_ID: app,
    REDIRECT_URI: redirectUri,
    BACKEND_CLIENT_ID: backend.id,
    BACKEND_JWK: JSON.stringify(backend.jwk),
    BACKEND_SCOPE: backendScope,
    LOGIN_URL: `${issuer}/api/sign-in`,
    LOGIN_USER: people.clinician,
    LOGIN_BODY: JSON.stringify({ username: people.clinician, password: people.password }),
    LOCK_USER: people.locked,
    OTP_REQUEST_URL: `${issuer}/api/otp/request`,
    OTP_VERIFY_URL: `${issuer}/api/otp/verify`,
    OTP_USER: people.contact,
    OTP_BODY: JSON.stringify(contact),
    OTP_VERIFY_BODY: JSON.stringify({ ...contact, code: '000000' }),
    LOG_FILE: operated.config.logFile === '' ? '' : resolve(operated.config.logFile),
  }
}

const receptionist = {
  user: 'Practitioner/fixture-receptionist',
  role: 'receptionist',
  organizations: [hospital],
}

const doctor = {
  user: `Practitioner/${clinician}`,
  role: 'doctor',
  organizations: [hospital],
  scope: 'user/*.cruds',
  purpose: 'TREAT',
}

/** A tenant with a hospital, its clinician, and a patient of theirs, who is a new one each time. */
async function tenantOf(operated: Operated, name: string | undefined): Promise<Tenant> {
  const { mintToken } = await import('./smart/index.js')
  const { server } = await import('./access/index.js')
  const { create, update } = await import('./interactions/index.js')
  const world = await worldOf(operated, { tenant: name })
  const smart = await operated.smart(world)
  const mint = (spec: CallerSpec) => mintToken(smart, spec)
  const contextOf = async (spec: CallerSpec) =>
    world.contextOf(await smart.verifier.ofHeader(`Bearer ${await mint(spec)}`))
  const own = world.contextOf(server(world.tenant, 'fixtures'))
  for (const place of places) await update(own, { type: place.resourceType, id: place.id }, place)
  const { stored } = await create(await contextOf(receptionist), person)
  const asDoctor = await contextOf(doctor)
  for (const made of observationsOf(stored.id)) await create(asDoctor, made)
  return { world, smart, mint, patient: stored.id }
}

const practitioner = (id: string, family: string): Resource & { id: string } => ({
  resourceType: 'Practitioner',
  id,
  name: [{ family }],
})

const places: (Resource & { id: string })[] = [
  { resourceType: 'Organization', id: hospital, name: 'Fixture Hospital' },
  practitioner(clinician, 'Odhiambo'),
  practitioner('fixture-receptionist', 'Wanjiru'),
  practitioner('fixture-administrator', 'Mensah'),
  {
    resourceType: 'PractitionerRole',
    id: 'fixture-role',
    practitioner: { reference: `Practitioner/${clinician}` },
    organization: { reference: `Organization/${hospital}` },
  },
]

const person: Resource = {
  resourceType: 'Patient',
  name: [{ family: 'Fixture', given: ['Amina'] }],
  birthDate: '1990-02-03',
  managingOrganization: { reference: `Organization/${hospital}` },
  generalPractitioner: [{ reference: `Practitioner/${clinician}` }],
}

const observationsOf = (patient: string): Resource[] =>
  [
    { category: 'laboratory', code: '718-7', text: 'Haemoglobin' },
    { category: 'vital-signs', code: '29463-7', text: 'Body weight' },
  ].map(({ category, code, text }) => ({
    resourceType: 'Observation',
    status: 'final',
    category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: category }] }],
    code: { coding: [{ system: 'http://loinc.org', code }], text },
    subject: { reference: `Patient/${patient}` },
    effectiveDateTime: '2026-01-02',
  }))

/** Accounts of this run: their passwords and contacts are its own. */
async function peopleOf({ people }: Operated, { world, patient }: Tenant, run: string) {
  const directory = await people(world)
  const password = `fixture ${randomBytes(12).toString('base64url')}`
  const contact = `patient-${run}@fixtures.example`
  const user = { type: 'Practitioner', id: clinician }
  const staff = { role: 'doctor', user, organizations: [hospital], password }
  await directory.create({ ...staff, name: 'Fixture Clinician', userName: `clinician-${run}` })
  await directory.create({ ...staff, name: 'Fixture Colleague', userName: `locked-${run}` })
  const own = await directory.create({
    name: 'Amina Fixture',
    role: 'patient',
    user: { type: 'Patient', id: patient },
    contacts: [contact],
  })
  return { password, contact, clinician: `clinician-${run}`, locked: `locked-${run}`, subject: own.subject }
}

async function appOf({ clients }: AuthorizationServer, run: string): Promise<string> {
  const { client } = await clients.register({
    id: `fixture-app-${run}`,
    name: 'Fixture App',
    redirectUris: [redirectUri],
    launchUri: 'http://localhost:4567/launch',
  })
  return client.id
}

async function backendOf({ clients }: AuthorizationServer, run: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const named = { kid: `fixture-${run}`, alg: 'ES384', use: 'sig' }
  const { client } = await clients.register({
    id: `fixture-backend-${run}`,
    name: 'Fixture Backend',
    authentication: 'private_key_jwt',
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), ...named } as never] },
    scope: backendScope,
    organizations: [hospital],
  })
  return { id: client.id, jwk: { ...privateKey.export({ format: 'jwk' }), ...named } }
}

/** https://openid.net/specs/openid-connect-core-1_0.html#IDToken: says who somebody is, and opens nothing. */
async function idToken(
  { keys, context }: AuthorizationServer,
  { subject, client, patient }: { subject: string; client: string; patient: string },
) {
  const key = await keys.signing()
  const iat = Math.floor(context.clock() / 1000)
  const fhirUser = `${context.baseUrls[0]}/Patient/${patient}`
  const claims = { iss: context.issuer, sub: subject, aud: client, iat, exp: iat + seconds, fhirUser }
  return jwt.sign(claims, key.private, { algorithm: 'RS256', keyid: key.kid })
}

async function revoke({ context, verifier }: AuthorizationServer, token: string): Promise<void> {
  const { dropTokenRecord } = await import('./smart/index.js')
  await dropTokenRecord(context.secrets, (jwt.decode(token) as { jti: string }).jti)
  verifier.forget()
}
