/** A scheduler that comes back while not all expected servers have: nothing moves before its timeout. */
import { expect, test } from 'vitest'
import { applyAvailable, until, untilModel } from '../support/models.ts'
import { createRestSender } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import type { ModelStatus } from '../../api/resources/status.ts'

const READY_TIMEOUT_S = 6
let mesh: TestMesh | undefined
printLogsOfFailedTests(() => mesh)

const placedOn = (status: ModelStatus | undefined): readonly string[] =>
  (status?.versions ?? []).flatMap((version) => (version.replicas ?? []).map((replica) => replica.replica))

test('with one of two expected servers absent nothing moves before the timeout, and moves after it', async () => {
  mesh = await startMesh({
    schedulerFlags: ['--scheduler-ready-timeout-seconds', String(READY_TIMEOUT_S), '--replica-grace-seconds', '1'],
  })
  try {
    await applyAvailable(mesh.admin, 'lonely', { replicas: 1 })
    const before = await untilModel(mesh.admin, 'lonely', (status) => placedOn(status).length === 1)
    const home = placedOn(before)[0] ?? ''
    const index = home.split('/')[1] ?? ''
    await mesh.kill('scheduler')
    await mesh.kill(`agent-embedded-${index}`)
    await mesh.kill(`embedded-${index}`)

    const startedMs = Date.now()
    await mesh.start('scheduler')
    const ready = await fetch(`http://127.0.0.1:${String(mesh.ports.schedulerHttp)}/readyz`)
    expect(await ready.json()).toMatchObject({ awaited: [{ server: 'embedded', expected: 2 }] })
    const moved = await untilModel(mesh.admin, 'lonely', (status) =>
      placedOn(status).some((replica) => replica !== home),
    )
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(READY_TIMEOUT_S * 1_000)
    expect(placedOn(moved)).toContain(`embedded/${index === '0' ? '1' : '0'}`)

    const client = createRestSender(mesh.ingress)
    await until('an answer from its new place', async () => {
      const answer = await client.send('lonely', 2_000).catch(() => undefined)
      return answer?.status === '200'
    })
    await client.close()
  } finally {
    await mesh.stop()
  }
})
