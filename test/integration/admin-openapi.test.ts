/** The REST API against its own OpenAPI document: whatever schemathesis makes up, no 5xx and no answer that is not declared. */
import { beforeEach, describe, expect, it } from 'vitest'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource, aServerResource } from '../support/scheduler-rig.ts'
import { runSchemathesis } from '../support/schemathesis.ts'

const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
]
const OPTIONS = [
  `--checks=${CHECKS.join(',')}`,
  '--mode=all',
  '--phases=examples,coverage,fuzzing',
  '--max-examples=10', // a number of cases, not a time: a busy machine sees the same
  '--seed=1',
  '--generation-database=none',
  '--request-timeout=10',
  '--exclude-path=/v1/watch', // does not end
  '--continue-on-failure',
  '--max-failures=10',
  '--warnings=off',
]
/** The first run installs schemathesis. */
const TIMEOUT_MS = 480_000

const scenes = useLiveScenes()
let scene: LiveScene

beforeEach(async () => {
  scene = await scenes.start()
  scene.agent()
  scene.envoy()
  await scene.rig.admin.apply(aServerResource('embedded', { replicas: 1 }))
  await scene.rig.admin.apply(aModelResource('iris'))
  await scene.rig.untilModel('iris', ({ state }) => state === 'ModelAvailable')
})

describe('the OpenAPI document', () => {
  it(
    'is kept to, for requests that fit it and for those that do not',
    async () => {
      const url = `http://127.0.0.1:${String(scene.rig.ports.http)}/docs/json`
      const { isClean, output } = await runSchemathesis(url, OPTIONS)
      expect(isClean, output).toBe(true)
      const asked = /(?<count>\d+) generated/.exec(output)?.groups?.['count']
      expect(Number(asked), output).toBeGreaterThan(2_000)
    },
    TIMEOUT_MS,
  )
})
