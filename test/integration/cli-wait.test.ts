import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ModelStatus, StoredModel } from '../../api/resources/status.ts'
import { ServingError } from '../../kit/errors.ts'
import { type FakeAdmin, startFakeAdmin } from '../support/fake-admin.ts'
import { type CliResult, startCli } from '../support/run-cli.ts'

const iris = (status: ModelStatus, generation = 1): StoredModel => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Model',
  metadata: { name: 'iris', generation },
  spec: { storageUri: '/models/iris' },
  status,
})
const progressing = iris({ state: 'ModelProgressing', replicas: 1, availableReplicas: 0 })
const available = iris({ state: 'ModelAvailable', replicas: 1, availableReplicas: 1 })

let admin: FakeAdmin
beforeEach(async () => {
  admin = await startFakeAdmin()
})
afterEach(() => admin.stop())

/** Starts the command and gives it back once it watches. */
async function watching(...argv: string[]): Promise<Promise<CliResult>[]> {
  const watch = admin.nextWatch()
  const { done } = startCli([...argv, '--scheduler', admin.address])
  await Promise.race([watch, done])
  return [done] // in a list: an async function would await the result itself
}

describe('status', () => {
  it('prints one line without --wait', async () => {
    admin.put(available)
    const result = await startCli(['status', 'iris', '--scheduler', admin.address]).done
    expect(result).toEqual({ code: 0, out: 'model/iris ModelAvailable, 1 of 1 replicas available\n', err: '' })
  })

  it('waits until the model is available', async () => {
    admin.put(progressing)
    const [done] = await watching('status', 'model/iris', '--wait', 'available')
    admin.put(available)
    expect(await done).toMatchObject({ code: 0, out: 'model/iris ModelAvailable, 1 of 1 replicas available\n' })
  })

  it('exits 4 when the time is over, with what it saw last', async () => {
    admin.put(iris({ state: 'ModelProgressing', reason: 'no Envoy connected' }))
    const [done] = await watching('status', 'iris', '--wait', 'available', '--timeout', '2s')
    expect(await done).toEqual({
      code: 4,
      out: '',
      err:
        'error: DEADLINE_EXCEEDED: model/iris is not available after 2 s; last seen: ModelProgressing: no Envoy connected\n' +
        'help: Try again, or raise the timeout.\n',
    })
  })

  it('ends early with the reason when the model cannot become available', async () => {
    admin.put(progressing)
    const [done] = await watching('status', 'iris', '--wait', 'available')
    admin.put(iris({ state: 'ModelFailed', reason: 'no file model.onnx' }))
    expect(await done).toEqual({
      code: 7,
      out: '',
      err:
        'error: CONDITION_FAILED: model/iris cannot become available: ModelFailed: no file model.onnx\n' +
        'help: `millrace describe` says more of the resource that the message names.\n',
    })
  })

  it('does not take a state of an earlier spec, or an earlier version, for the answer', async () => {
    admin.put(iris({ state: 'ModelFailed', observedGeneration: 1 }, 2))
    const [done] = await watching('status', 'iris', '--wait', 'available')
    admin.put(iris({ state: 'ModelAvailable', observedGeneration: 2, version: 2, servingVersion: 1 }, 2))
    admin.put(iris({ state: 'ScheduleFailed', reason: 'full', observedGeneration: 2 }, 2))
    expect(await done).toMatchObject({ code: 7, err: expect.stringContaining('ScheduleFailed: full') })
  })

  it('waits for a scheduler that restarts meanwhile', async () => {
    admin.put(progressing)
    const [done] = await watching('status', 'iris', '--wait', 'available')
    const again = admin.nextWatch()
    admin.breakWatches(new ServingError('SCHEDULER_UNAVAILABLE', 'stopping'))
    await again
    admin.put(available)
    expect((await done)?.code).toBe(0)
  })

  it('does not wait for a model that nobody applied, nor for a scheduler that is not there', async () => {
    expect((await startCli(['status', 'iris', '-w', 'available', '--scheduler', admin.address]).done).code).toBe(5)
    await admin.stop()
    expect((await startCli(['status', 'iris', '-w', 'available', '--scheduler', admin.address]).done).code).toBe(6)
  })

  it('takes a model that is gone for deleted', async () => {
    const result = await startCli(['status', 'iris', '-w', 'deleted', '--scheduler', admin.address]).done
    expect([result.code, result.out]).toEqual([0, 'model/iris deleted\n'])
  })
})

describe('delete --wait', () => {
  it('returns when the model is gone', async () => {
    admin.put(available)
    const [done] = await watching('delete', 'model', 'iris', '--wait')
    admin.put(iris({ state: 'ModelTerminating' }))
    admin.remove('Model', 'iris')
    expect(await done).toEqual({ code: 0, out: 'model/iris deleted\n', err: '' })
  })

  it('says why when the model cannot be deleted', async () => {
    admin.put(available)
    const [done] = await watching('delete', 'model', 'iris', '--wait')
    admin.put(iris({ state: 'ModelTerminateFailed', reason: 'unload refused' }))
    const result = await done
    expect(result?.code).toBe(7)
    expect(result?.err).toContain('model/iris cannot become deleted: ModelTerminateFailed: unload refused')
  })
})
