/**
 * App launch: from the app's request to the token and the first read.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { authorize, exchange, fhir, hospital, payloadOf, tokenOf, world } from './world.js'

const given = world()

let client = ''
let ehrApp = ''

beforeAll(async () => {
  await hospital(given())
  client = (await given().register({ name: 'My <record>' })).client.id
  ehrApp = (await given().register({ name: 'Growth chart', launchUri: 'https://app.example/launch?theme=dark' })).client
    .id
})

const scope = 'openid fhirUser launch/patient patient/*.rs offline_access'

describe('standalone launch', () => {
  test('a patient signs in, allows the app, and the token opens her own record and no other', async () => {
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    expect(body).toMatchObject({ token_type: 'Bearer', patient: 'ada', expires_in: 900, scope })
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
    expect((await fhir(given(), 'Patient/ben', body['access_token'])).status).toBe(404)
    expect((await fhir(given(), 'Observation?patient=ada', body['access_token'])).json()['total']).toBe(2)
  })

  test('by POST the same is asked, and state comes back exactly', async () => {
    const state = "a b+c/ü&=?'"
    const { back } = await authorize(given(), {
      client,
      scope,
      signIn: 'subject=ada',
      method: 'POST',
      parameters: { state },
    })
    expect(back.get('state')).toBe(state)
    expect(back.get('code')).toBeTruthy()
    expect(back.get('iss')).toBe(given().issuer)
  })

  test('a clinician looks for the patient and gets the encounter that goes on', async () => {
    const wish =
      'launch/patient launch/encounter openid fhirUser patient/Patient.rs patient/Observation.rs user/Patient.rs'
    const picked = await tokenOf(given(), {
      client,
      scope: wish,
      signIn: 'subject=bob',
      words: 'Bello',
      patient: 'ben',
    })
    expect(picked).toMatchObject({ patient: 'ben', encounter: 'visit-ben' })
    expect((await fhir(given(), 'Patient/ada', picked['access_token'])).status).toBe(200)
    expect((await fhir(given(), 'Observation/laboratory-ben', picked['access_token'])).status).toBe(200)
    expect((await fhir(given(), 'Observation/laboratory-ada', picked['access_token'])).status).toBe(404)
  })

  test('patient scopes without launch/patient get a patient all the same', async () => {
    const body = await tokenOf(given(), { client, scope: 'patient/Observation.rs', signIn: 'subject=ada' })
    expect(body['patient']).toBe('ada')
  })

  test('the person may leave scopes out, and the token says so', async () => {
    const authorized = await authorize(given(), {
      client,
      scope: 'launch/patient patient/Patient.rs patient/Observation.rs offline_access',
      signIn: 'subject=ada',
      allow: (offered) => offered.filter((each) => each === 'patient/Patient.rs'),
    })
    expect(authorized.offered).toEqual(['patient/Patient.rs', 'patient/Observation.rs', 'offline_access'])
    const { body } = await exchange(given(), authorized, { client_id: client })
    expect(body['scope']).toBe('launch/patient patient/Patient.rs')
    expect(body['refresh_token']).toBeUndefined()
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
    expect((await fhir(given(), 'Observation?patient=ada', body['access_token'])).status).toBe(403)
  })

  test('the page says in plain words what is asked, and a name of an app is no markup', async () => {
    const { pages } = await authorize(given(), { client, scope: 'launch/patient patient/*.rs', signIn: 'subject=ada' })
    const page = pages.at(-1)!
    expect(page).toContain('My &lt;record&gt;')
    expect(page).toMatch(/all/i)
    expect(page).toContain('app.example')
  })

  test('whoever says no comes back with access_denied, the state and the issuer', async () => {
    const { back, state } = await authorize(given(), { client, scope, signIn: 'subject=ada', deny: true })
    expect(Object.fromEntries(back)).toMatchObject({ error: 'access_denied', state, iss: given().issuer })
    const { back: early } = await authorize(given(), { client, scope, signIn: 'deny' })
    expect(early.get('error')).toBe('access_denied')
  })

  test('a disabled account is nobody', async () => {
    given().accounts.set('gone', { ...given().accounts.get('ada')!, subject: 'gone', disabled: true })
    const { back } = await authorize(given(), { client, scope, signIn: 'subject=gone' })
    expect(back.get('error')).toBe('access_denied')
  })

  test('a guardian chooses among those in their care', async () => {
    const { accounts, put } = given()
    for (const id of ['ada', 'ben'])
      await put(
        {
          resourceType: 'RelatedPerson',
          id: `gus-${id}`,
          active: true,
          patient: { reference: `Patient/${id}` },
          relationship: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'GUARD' }] }],
        },
        'general',
      )
    const link = ['ada', 'ben'].map((id) => ({ target: { reference: `RelatedPerson/gus-${id}` } }))
    await put({ resourceType: 'Person', id: 'gus', link }, 'general')
    accounts.set('gus', {
      ...accounts.get('ada')!,
      subject: 'gus',
      user: { type: 'Person', id: 'gus' },
      role: 'guardian',
      guardianOf: ['ada', 'ben'],
    })
    const body = await tokenOf(given(), {
      client,
      scope: 'launch/patient patient/*.rs',
      signIn: 'subject=gus',
      patient: 'ben',
    })
    expect(body['patient']).toBe('ben')
    expect((await fhir(given(), 'Patient/ben', body['access_token'])).status).toBe(200)
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(404)
  })
})

describe('EHR launch', () => {
  const launch = async (body: unknown, token: string) => {
    const response = await fetch(`${given().issuer}/launch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: (await response.json()) as Record<string, string> }
  }
  const ehrToken = async () => {
    const body = await tokenOf(given(), { client, scope: 'user/*.cruds openid fhirUser', signIn: 'subject=bob' })
    return String(body['access_token'])
  }
  const wish = 'launch openid fhirUser patient/*.rs'

  test('the context of the launch comes with the token', async () => {
    const { status, body } = await launch(
      {
        client_id: ehrApp,
        patient: 'ada',
        encounter: 'visit-ada',
        fhirContext: [{ reference: 'Observation/laboratory-ada', type: 'Observation' }],
        need_patient_banner: false,
        intent: 'reconcile-medications',
        smart_style_url: 'https://ehr.example/styles/1.json',
      },
      await ehrToken(),
    )
    expect(status).toBe(201)
    const url = new URL(body['launch_url']!)
    expect(Object.fromEntries(url.searchParams)).toEqual({ theme: 'dark', iss: given().base, launch: body['launch'] })
    const token = await tokenOf(given(), {
      client: ehrApp,
      scope: wish,
      launch: body['launch']!,
      signIn: 'subject=bob',
    })
    expect(token).toMatchObject({
      patient: 'ada',
      encounter: 'visit-ada',
      fhirContext: [{ reference: 'Observation/laboratory-ada', type: 'Observation' }],
      need_patient_banner: false,
      intent: 'reconcile-medications',
      smart_style_url: 'https://ehr.example/styles/1.json',
      tenant: 'default',
      scope: wish,
    })
    expect(payloadOf(token['access_token'])).toMatchObject({ patient: 'ada', encounter: 'visit-ada' })
    // Spent with the authorization.
    const again = await authorize(given(), {
      client: ehrApp,
      scope: wish,
      launch: body['launch']!,
      signIn: 'subject=bob',
    })
    expect(again.back.get('error')).toBe('invalid_request')
  })

  test('a launch is for one app and one person', async () => {
    const token = await ehrToken()
    const { body } = await launch({ client_id: ehrApp, patient: 'ada' }, token)
    const other = await authorize(given(), { client, scope: wish, launch: body['launch']!, signIn: 'subject=bob' })
    expect(other.back.get('error')).toBe('invalid_request')
    const person = await authorize(given(), {
      client: ehrApp,
      scope: wish,
      launch: body['launch']!,
      signIn: 'subject=ada',
    })
    expect(person.back.get('error')).toBe('invalid_request')
    const unknown = await authorize(given(), { client: ehrApp, scope: wish, launch: 'made-up', signIn: 'subject=bob' })
    expect(unknown.back.get('error')).toBe('invalid_request')
  })

  test.each([
    [{ client_id: 'nobody', patient: 'ada' }, 400],
    [{ patient: 'ada' }, 400],
    [{ client_id: 7 }, 400],
    ['text', 400],
    [[], 400],
    [null, 400],
    [{ client_id: '*', patient: 'nobody' }, 404],
    [{ client_id: '*', patient: { id: 'ada' } }, 400],
    [{ client_id: '*', patient: 'ada', fhirContext: {} }, 400],
    [{ client_id: '*', patient: 'ada', fhirContext: [{}] }, 400],
    [{ client_id: '*', patient: 'ada', fhirContext: [{ reference: 'Patient/ada' }] }, 400],
    [{ client_id: '*', patient: 'ada', fhirContext: [{ reference: 'https://elsewhere/Observation/1' }] }, 400],
    [{ client_id: '*', patient: 'ada', fhirContext: [{ reference: 'Observation/1', role: '' }] }, 400],
    [{ client_id: '*', patient: 'ada', need_patient_banner: 'yes' }, 400],
    [{ client_id: '*', patient: 'ada', smart_style_url: 'javascript:alert(1)' }, 400],
  ])('a launch of %j is refused', async (body, expected) => {
    const sent = JSON.parse(JSON.stringify(body).replace('"*"', JSON.stringify(ehrApp))) as unknown
    expect((await launch(sent, await ehrToken())).status).toBe(expected)
  })

  test('without a token nothing is launched', async () => {
    expect((await launch({ client_id: ehrApp, patient: 'ada' }, 'none')).status).toBe(401)
  })

  test('an app that asks for launch without one goes on without', async () => {
    const body = await tokenOf(given(), {
      client: ehrApp,
      scope: 'launch launch/patient patient/*.rs',
      signIn: 'subject=ada',
    })
    expect(body['scope']).toBe('launch/patient patient/*.rs')
  })
})
