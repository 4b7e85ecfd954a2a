import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { SchedulerMessage__Output } from '../../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { createHeldUnits } from '../../../dataflow/control/held-units.ts'
import { silentLogger } from '../../../kit/log.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** What the last run held: p and q. */
async function scene() {
  const said: string[] = []
  const units = createHeldUnits({
    kind: 'PIPELINE',
    file: {
      load: () =>
        Promise.resolve({
          schemaVersion: 1,
          storeId: 's',
          units: ['p', 'q'].map((name) => ({ name, generation: 1 })),
        }),
      save: () => undefined,
      settled: () => Promise.resolve(),
    },
    onAssign: (name, isHandedOver) => void said.push(`reads ${name}${isHandedOver ? ', handed over' : ''}`),
    onRevoke: (name) => {
      said.push(`leaves ${name}`)
      return Promise.resolve()
    },
    report: ({ unitReleased }) => void said.push(`released ${unitReleased?.name ?? ''}`),
    signal: new AbortController().signal,
    log: silentLogger,
  })
  await units.begin()
  const hears = async (message: Partial<SchedulerMessage__Output>): Promise<void> => {
    units.onMessage(message as SchedulerMessage__Output)
    await vi.advanceTimersByTimeAsync(0)
  }
  const synchronised = (storeId: string, ...names: readonly string[]) =>
    hears({
      synchronised: {
        held: [],
        storeId,
        heldUnits: names.map((name) => ({ kind: 'PIPELINE', name, generation: 1 })),
      },
    })
  return { said, units, hears, synchronised }
}

test('what the last run held is told to the scheduler, and read when it is named: somebody else may read the others', async () => {
  const { said, units, synchronised } = await scene()
  expect(units.held().map(({ name }) => name)).toEqual(['p', 'q'])
  expect(said).toEqual([])
  await synchronised('s', 'q')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(said).toEqual(['leaves p', 'reads q'])
})

test('when no scheduler answers in time all of it is read', async () => {
  const { said, synchronised } = await scene()
  await vi.advanceTimersByTimeAsync(3_000)
  expect(said).toEqual(['reads p', 'reads q'])
  await synchronised('s', 'p', 'q')
  expect(said).toHaveLength(2)
})

test('I9: a scheduler with another store takes nothing away, so all of it is read', async () => {
  const { said, synchronised } = await scene()
  await synchronised('other')
  expect(said).toEqual(['reads p', 'reads q'])
})

test('what is assigned anew is read at once, and told whether it was handed over', async () => {
  const { said, hears, synchronised } = await scene()
  await hears({ unitAssign: { kind: 'PIPELINE', name: 'p', generation: 2, handedOver: true } })
  await synchronised('s', 'p', 'q')
  expect(said).toEqual(['reads p, handed over', 'reads q'])
})
