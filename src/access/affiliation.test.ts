import { describe, expect, test } from '@jest/globals'
import type { Resource } from '../fhir/index.js'
import { custodianUrl } from '../search/index.js'
import { affiliationOf, type Look, lineOf, standingOf } from './affiliation.js'

const organization = (id: string, partOf?: string, more: object = {}): Resource =>
  ({
    resourceType: 'Organization',
    id,
    ...(partOf && { partOf: { reference: `Organization/${partOf}` } }),
    ...more,
  }) as Resource

const custody = (id: string) => ({
  meta: { extension: [{ url: custodianUrl, valueReference: { reference: `Organization/${id}` } }] },
})

const lookAt = (...resources: Resource[]): Look => ({
  wasDeleted: async ({ id }) => id === 'razed',
  read: async ({ type, id }) => resources.find((each) => each.resourceType === type && each.id === id),
  search: async (type, query) =>
    resources.filter(
      (each) =>
        each.resourceType === type &&
        query.startsWith(`practitioner=${(each['practitioner'] as { reference: string }).reference}&`),
    ),
})

const tree = lookAt(
  organization('a'),
  organization('a-ward', 'a'),
  organization('a-room', 'a-ward'),
  organization('b'),
  organization('lost', 'gone'),
  organization('egg', 'hen'),
  organization('hen', 'egg'),
  organization('self', 'self'),
  organization('closed', 'a', { active: false }),
  organization('below-closed', 'closed'),
  organization('elsewhere', undefined, { partOf: { reference: 'http://other.example/Organization/a' } }),
  organization('own-part', 'a', custody('a')),
  organization('their-part', 'a', custody('b')),
  organization('below-theirs', 'their-part', custody('a')),
  organization('named', undefined, { partOf: { display: 'a' } }),
)

describe('from an organisation up to its hospital', () => {
  test.each([
    ['a', ['a']],
    ['a-ward', ['a-ward', 'a']],
    ['a-room', ['a-room', 'a-ward', 'a']],
    ['gone', ['gone']],
    ['razed', undefined],
    ['lost', undefined],
    ['egg', undefined],
    ['self', undefined],
    ['closed', undefined],
    ['below-closed', undefined],
    ['own-part', ['own-part', 'a']],
    ['their-part', undefined],
    ['below-theirs', undefined],
    ['elsewhere', undefined],
    ['named', undefined],
  ])('%s', async (id, line) => expect(await lineOf(tree, id)).toEqual(line))

  test('there is an end to it', async () => {
    const tower = lookAt(
      ...Array.from({ length: 100 }, (_, i) => organization(`o${i}`, i < 99 ? `o${i + 1}` : undefined)),
    )
    expect(await lineOf(tower, 'o0')).toBeUndefined()
    expect(await lineOf(tower, 'o90')).toHaveLength(10)
  })

  test('several, of which some lead nowhere', async () =>
    expect(await affiliationOf(tree, ['a-room', 'a', 'egg', 'b'])).toEqual({
      organizations: ['a-room', 'a-ward', 'a', 'b'],
      hospitals: ['a', 'b'],
    }))
})

describe('who stands behind a user', () => {
  const now = Date.UTC(2027, 0, 15)
  const role = (id: string, organizationId: string, more: object = {}): Resource =>
    ({
      resourceType: 'PractitionerRole',
      id,
      practitioner: { reference: 'Practitioner/p' },
      organization: { reference: `Organization/${organizationId}` },
      ...more,
    }) as Resource
  const standing = (...roles: Resource[]) =>
    standingOf(
      lookAt(organization('a'), organization('ward', 'a'), organization('b'), ...roles),
      { type: 'Practitioner', id: 'p' },
      now,
    )

  test('a practitioner with a role in a ward', async () =>
    expect(await standing(role('r', 'ward'))).toEqual({
      organizations: ['ward', 'a'],
      hospitals: ['a'],
      custodian: 'a',
      aliases: [{ type: 'PractitionerRole', id: 'r' }],
    }))

  test.each([
    ['that is over', { period: { end: '2026-12-31' } }],
    ['that has not begun', { period: { start: '2027-02-01' } }],
    ['that is not active', { active: false }],
    ['that another hospital made', custody('b')],
  ])('a role %s does not count', async (_name, more) =>
    expect(await standing(role('r', 'ward', more))).toEqual({ organizations: [], hospitals: [], aliases: [] }),
  )

  test('who works in two hospitals creates for neither before they say which', async () => {
    const both = await standing(role('r', 'a', custody('a')), role('s', 'b', custody('b')))
    expect(both.hospitals).toEqual(['a', 'b'])
    expect(both.custodian).toBeUndefined()
  })

  test('a patient belongs to the custodian of their record', async () => {
    const patient = { resourceType: 'Patient', id: 'x', ...custody('a') } as Resource
    expect(await standingOf(lookAt(organization('a'), patient), { type: 'Patient', id: 'x' }, now)).toEqual({
      organizations: ['a'],
      hospitals: ['a'],
      custodian: 'a',
      aliases: [],
    })
  })

  test('a person is whom their links name', async () => {
    const person = {
      resourceType: 'Person',
      id: 'x',
      link: [{ target: { reference: 'Patient/y' } }, { target: { reference: 'RelatedPerson/z' } }],
    } as Resource
    expect((await standingOf(lookAt(person), { type: 'Person', id: 'x' }, now)).aliases).toEqual([
      { type: 'Patient', id: 'y' },
      { type: 'RelatedPerson', id: 'z' },
    ])
  })
})
