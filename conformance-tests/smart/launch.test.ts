/**
 * App launch: from the app's request to the token and the first read.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { account, authorize, exchange, fhir, tokenOf, world } from './world.js'

const given = world()

describe('standalone launch', () => {
  let client = ''
  beforeAll(async () => {
    const { accounts, register, mint } = given()
    const admin = await mint({ user: 'Practitioner/admin', role: 'hospital-administrator' })
    void admin
    accounts.set('ada', account({ subject: 'ada', user: { type: 'Patient', id: 'ada' }, role: 'patient', name: 'Ada' }))
    client = (await register({ name: 'My <record>' })).client.id
  })

  test('a patient signs in, allows the app, and the token opens her own record', async () => {
    const body = await tokenOf(given(), {
      client,
      scope: 'openid fhirUser launch/patient patient/*.rs offline_access',
      signIn: 'subject=ada',
    })
    expect(body).toMatchObject({ token_type: 'Bearer', patient: 'ada', expires_in: 900 })
    console.log(body)
    const metadata = await fhir(given(), 'metadata')
    expect(metadata.status).toBe(200)
    const answer = await fhir(given(), 'Patient/ada', body['access_token'])
    console.log(answer.status, answer.text.slice(0, 300))
  })
})
void authorize
void exchange
