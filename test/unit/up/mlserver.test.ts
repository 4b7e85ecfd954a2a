import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../../kit/root.ts'
import { mlserverEnvironment } from '../../../up/servers/mlserver-environment.ts'

const pinsOf = (path: string): string[] =>
  readFileSync(join(packageRoot, path), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))

test('the sample is trained with the libraries that serve it, and every version is pinned', () => {
  const served = pinsOf('up/tools/mlserver-requirements.txt')
  expect(served.filter((pin) => !/^[A-Za-z0-9_.-]+==[0-9a-z.]+(; .+)?$/.test(pin))).toEqual([])
  expect(served).toEqual(expect.arrayContaining(pinsOf('samples/iris-sklearn/requirements.txt')))
  expect(served).toEqual(expect.arrayContaining(['mlserver==1.7.1', 'mlserver-sklearn==1.7.1']))
})

test('one MLServer listens where it is told, on this machine only, and loads nothing by itself', () => {
  const options = { host: '127.0.0.1', ports: { rest: 1, grpc: 2, modelServerMetrics: 3 }, repository: '/models' }
  expect(mlserverEnvironment(options)).toMatchObject({
    MLSERVER_HOST: '127.0.0.1',
    MLSERVER_HTTP_PORT: '1',
    MLSERVER_GRPC_PORT: '2',
    MLSERVER_METRICS_PORT: '3',
    MLSERVER_MODEL_REPOSITORY_ROOT: '/models',
    MLSERVER_LOAD_MODELS_AT_STARTUP: 'false',
    MLSERVER_PARALLEL_WORKERS: '0',
  })
})

test('without a port for metrics it serves none', () => {
  const environment = mlserverEnvironment({ host: '127.0.0.1', ports: { rest: 1, grpc: 2 }, repository: '/models' })
  expect(environment['MLSERVER_METRICS_ENDPOINT']).toBe('')
  expect(environment).not.toHaveProperty('MLSERVER_METRICS_PORT')
})
