import { describe, expect, it } from 'vitest'
import { lastOf } from '../../../model-server/internal-name.ts'
import { parseRoute } from '../../../model-server/rest/route.ts'

describe('a REST path', () => {
  it.each([
    ['GET', '/v2', { kind: 'serverMetadata' }],
    ['GET', '/v2/health/live', { kind: 'live' }],
    ['GET', '/v2/health/ready', { kind: 'ready' }],
    ['GET', '/v2/health/ready?verbose=1', { kind: 'ready' }],
    ['GET', '/v2/models/iris', { kind: 'modelMetadata', model: 'iris' }],
    ['GET', '/v2/models/iris/versions/3', { kind: 'modelMetadata', model: 'iris' }],
    ['GET', '/v2/models/iris/ready', { kind: 'modelReady', model: 'iris' }],
    ['GET', '/v2/models/iris/versions/3/ready', { kind: 'modelReady', model: 'iris' }],
    ['POST', '/v2/models/iris/infer', { kind: 'infer', model: 'iris' }],
    ['POST', '/v2/models/iris/versions/3/infer', { kind: 'infer', model: 'iris' }],
    ['POST', '/v2/models/a%20b/infer', { kind: 'infer', model: 'a b' }],
    ['POST', '/v2/repository/index', { kind: 'index' }],
    ['POST', '/v2/repository/models/iris_1/load', { kind: 'load', model: 'iris_1' }],
    ['POST', '/v2/repository/models/iris_1/unload', { kind: 'unload', model: 'iris_1' }],
  ])('%s %s is known', (method, path, route) => {
    expect(parseRoute(method, path)).toEqual(route)
  })

  it.each([
    ['GET', '/'],
    ['POST', '/v2'],
    ['GET', '/v2/'],
    ['GET', '/v2/models'],
    ['GET', '/v2/models/iris/infer'],
    ['POST', '/v2/models/iris'],
    ['POST', '/v2/models/iris/ready'],
    ['POST', '/v2/models//infer'],
    ['POST', '/v2/models/iris/versions/infer'],
    ['POST', '/v2/models/iris/load'],
    ['POST', '/v2/models/iris/infer/more'],
    ['GET', '/v2/repository/index'],
    ['GET', '/v2/repository/models/iris/load'],
    ['POST', '/v2/repository/models/iris/infer'],
    ['DELETE', '/v2/models/iris'],
    ['GET', '/constructor'],
  ])('%s %s is not', (method, path) => {
    expect(() => parseRoute(method, path)).toThrow(expect.objectContaining({ code: 'PATH_NOT_FOUND' }) as Error)
  })

  it('with bad percent encoding is refused', () => {
    expect(() => parseRoute('GET', '/v2/models/%zz')).toThrow(
      expect.objectContaining({ code: 'REQUEST_INVALID' }) as Error,
    )
  })
})

describe('the last value of a header', () => {
  it.each([
    [undefined, undefined],
    ['', undefined],
    ['iris_1', 'iris_1'],
    ['a_1, iris_1', 'iris_1'],
    [['a_1', 'iris_1'], 'iris_1'],
    [[], undefined],
  ])('of %j is %j', (value, last) => {
    expect(lastOf(value)).toBe(last)
  })
})
