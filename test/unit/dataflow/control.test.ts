/** What a gateway says of the topics of its pipelines: never more than is true. */
import { describe, expect, it } from 'vitest'
import type { PipelineReport } from '../../../api/generated/millrace/dataflow/PipelineReport.ts'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { createControl } from '../../../dataflow/control/control.ts'
import { createHeldPlans } from '../../../dataflow/control/held-plans.ts'
import { nullJournal } from '../../../dataflow/journal/journal.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import { ServingError } from '../../../kit/errors.ts'
import { silentLogger } from '../../../kit/log.ts'

const NOTHING = { storeId: '', plans: [], serving: [] }
const SPEC: PipelineSpec = {
  steps: [{ name: 'a' }],
  output: { steps: ['a'] },
  dataflow: { cleanTopicsOnDelete: true },
}
const LOAD = { load: { pipeline: 'p', version: 1, uid: 'u1', specJson: JSON.stringify(SPEC) } }
const away = (): Promise<never> => Promise.reject(new ServingError('KAFKA_UNAVAILABLE', 'Kafka is away'))

/** A control whose Kafka answers as `kafka` says at that moment. */
function scene() {
  const plans = createHeldPlans(compile, NOTHING)
  const done: string[] = []
  const reports: PipelineReport[] = []
  const kafka = { isThere: true, untilIdle: Promise.resolve(), untilRecorded: Promise.resolve() }
  const receive = createControl({
    plans,
    file: { load: () => Promise.resolve(NOTHING), save: () => undefined, settled: () => Promise.resolve() },
    journal: {
      ...nullJournal,
      ensureTopics: () => (kafka.isThere ? nullJournal.ensureTopics([]) : away()),
      untilRecorded: async () => {
        await kafka.untilRecorded
        done.push('recorded')
      },
      deleteTopics: () => {
        done.push('delete')
        return kafka.isThere ? Promise.resolve() : away()
      },
    },
    runner: {
      untilIdle: async () => {
        await kafka.untilIdle
        done.push('idle')
      },
    },
    report: ({ report }) => {
      if (report) reports.push(report)
    },
    signal: new AbortController().signal,
    log: silentLogger,
  })
  const tell = async (message: object): Promise<PipelineReport | undefined> => {
    const said = reports.length
    receive(message as Parameters<typeof receive>[0])
    for (let turn = 0; turn < 20 && reports.length === said; turn += 1) await Promise.resolve()
    return reports[said]
  }
  return { plans, kafka, done, tell }
}

describe('topics that cannot be made', () => {
  it('are told as something that may pass; the plan is neither called held nor saved until they are there', async () => {
    const { plans, kafka, tell } = scene()
    kafka.isThere = false
    expect(await tell(LOAD)).toMatchObject({ state: 'FAILED', reason: 'Kafka is away', mayPass: true })
    expect([plans.completed(), plans.snapshot().plans]).toEqual([[], []])
    kafka.isThere = true
    expect(await tell(LOAD)).toMatchObject({ state: 'LOADED' })
    expect(plans.completed()).toHaveLength(1)
    expect(plans.snapshot().plans).toMatchObject([{ pipeline: 'p', uid: 'u1' }])
  })

  it('say nothing of a plan that was saved: it was whole', async () => {
    const first = scene()
    await first.tell(LOAD)
    expect(createHeldPlans(compile, first.plans.snapshot()).completed()).toHaveLength(1)
  })

  it('a plan with a mistake is told as one that does not pass', async () => {
    const { tell } = scene()
    const report = await tell({ load: { ...LOAD.load, specJson: '{"steps":[]}' } })
    expect(report).toMatchObject({ state: 'FAILED', mayPass: false })
  })
})

describe('topics that are to be deleted', () => {
  const unload = (keepTopics: boolean) => ({ unload: { pipeline: 'p', version: 1, keepTopics } })

  it('go after the last request has ended and its records are in Kafka', async () => {
    const { kafka, done, tell } = scene()
    await tell(LOAD)
    let goOn: () => void = () => undefined
    kafka.untilRecorded = new Promise((resolve) => (goOn = resolve))
    expect(await tell(unload(true))).toBeUndefined()
    expect(done).toEqual(['idle'])
    goOn()
    await kafka.untilRecorded
    expect(await tell(unload(false))).toMatchObject({ state: 'UNLOADED' })
    expect(done.slice(1)).toEqual(['recorded', 'recorded', 'delete'])
  })

  it('and cannot be are not called deleted', async () => {
    const { kafka, tell } = scene()
    await tell(LOAD)
    expect(await tell(unload(true))).toMatchObject({ state: 'UNLOADED' })
    kafka.isThere = false
    expect(await tell(unload(false))).toMatchObject({ state: 'FAILED', reason: 'Kafka is away' })
    kafka.isThere = true
    expect(await tell(unload(false))).toMatchObject({ state: 'UNLOADED' })
  })
})
