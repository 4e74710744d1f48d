import { describe, expect, test } from '@jest/globals'
import { FhirError } from '../fhir/index.js'
import { locate } from './locate.js'
import { allowed, routeOf } from './routes.js'

const status = (attempt: () => unknown): number | undefined => {
  try {
    attempt()
    return undefined
  } catch (error) {
    return error instanceof FhirError ? error.status : Number.NaN
  }
}

describe('paths', () => {
  test.each([
    ['', { shape: 'system' }],
    ['/', { shape: 'system' }],
    ['/metadata', { shape: 'metadata' }],
    ['/_search', { shape: 'system-search' }],
    ['/_history', { shape: 'system-history' }],
    ['/$convert', { shape: 'operation', code: 'convert' }],
    ['/Patient', { shape: 'type', type: 'Patient' }],
    ['/Patient/', { shape: 'type', type: 'Patient' }],
    ['/Patient/_search', { shape: 'type-search', type: 'Patient' }],
    ['/Patient/_history', { shape: 'type-history', type: 'Patient' }],
    ['/Patient/$everything', { shape: 'operation', type: 'Patient', code: 'everything' }],
    ['/Patient/a-1.B', { shape: 'instance', type: 'Patient', id: 'a-1.B' }],
    ['/Patient/1/_history', { shape: 'instance-history', type: 'Patient', id: '1' }],
    ['/Patient/1/_history/2', { shape: 'version', type: 'Patient', id: '1', version: '2' }],
    ['/Patient/1/$everything', { shape: 'operation', type: 'Patient', id: '1', code: 'everything' }],
    ['/Patient/1/%24everything', { shape: 'operation', type: 'Patient', id: '1', code: 'everything' }],
    ['/Patient/1/Observation', { shape: 'compartment', type: 'Patient', id: '1', member: 'Observation' }],
    ['/Patient/1/*', { shape: 'compartment', type: 'Patient', id: '1', member: '*' }],
    ['/Patient/1/*/_search', { shape: 'compartment-search', type: 'Patient', id: '1', member: '*' }],
  ])('%s', (path, place) => expect(locate(path)).toEqual(place))

  test.each([
    ['/patient', 404],
    ['/Patients', 404],
    ['/Resource/1', 404],
    ['/Patient/a b', 404],
    ['/Patient//', 404],
    ['//Patient', 404],
    ['/Patient/1/nothing', 404],
    ['/Patient/1/_history/2/3', 404],
    ['/Patient/1/Observation/2', 404],
    ['/constructor', 404],
    ['/Patient/1/__proto__', 404],
    ['/Patient/%E0%A4', 400],
    ['/%', 400],
  ])('%s is answered %i', (path, expected) => expect(status(() => locate(path))).toBe(expected))
})

describe('methods', () => {
  test.each([
    ['GET', '/Patient/1', 'read'],
    ['HEAD', '/Patient/1', 'read'],
    ['GET', '/Patient/1/_history/2', 'vread'],
    ['PUT', '/Patient/1', 'update'],
    ['PUT', '/Patient', 'update'],
    ['PATCH', '/Patient/1', 'patch'],
    ['DELETE', '/Patient', 'delete'],
    ['POST', '/Patient', 'create'],
    ['GET', '/Patient', 'search-type'],
    ['POST', '/Patient/_search', 'search-type'],
    ['GET', '', 'search-system'],
    ['POST', '', 'batch'],
    ['GET', '/Patient/1/*', 'search-compartment'],
    ['GET', '/Patient/_history', 'history-type'],
  ])('%s %s is %s', (method, path, interaction) => expect(routeOf(method, locate(path)).interaction).toBe(interaction))

  test.each([
    ['DELETE', ''],
    ['PUT', '/metadata'],
    ['POST', '/Patient/1'],
    ['PUT', '/Patient/1/_history/2'],
    ['constructor', '/Patient/1'],
    ['TRACE', '/Patient/1'],
  ])('%s %s is not allowed', (method, path) => expect(status(() => routeOf(method, locate(path)))).toBe(405))

  test('what is allowed is said', () => expect(allowed('instance')).toBe('GET, HEAD, PUT, PATCH, DELETE, OPTIONS'))
})
