import { expect, test } from 'vitest'
import { agentProcess } from '../../../agent/config.ts'
import { parseConfig } from '../../../kit/config.ts'
import { modelServerProcess } from '../../../model-server/config.ts'
import { javascriptModelsFlags } from '../../../up/servers/javascript-models.ts'

test('an embedded server that is to take JavaScript models loads them, and its agent says so', () => {
  const { modelServer = [], agent = [] } = javascriptModelsFlags('embedded', true)
  const server = parseConfig(modelServerProcess, ['--repository', '/models', ...modelServer], {})
  expect(server).toMatchObject({ config: { javascriptModels: true } })
  const required = ['--server-rest-port', '1', '--server-grpc-port', '2', '--repository', '/models']
  const beside = parseConfig(agentProcess, [...required, '--memory-bytes', '1', '--http-port', '0', ...agent], {})
  expect(beside).toMatchObject({ config: { extraCapabilities: ['javascript'], capabilities: [] } })
})

test('nobody takes them unasked, and MLServer never', () => {
  expect(javascriptModelsFlags('embedded', false)).toEqual({})
  expect(javascriptModelsFlags('mlserver', true)).toEqual({})
  expect(parseConfig(modelServerProcess, ['--repository', '/models'], {})).toMatchObject({
    config: { javascriptModels: false },
  })
})
