import { expect, it } from 'vitest'
import { ALIVE_GRACE_MS, createAliveGateways } from '../../../../scheduler/dataflow/alive.ts'

it('a gateway lives until it was away for the grace, said that it stops, or started again under its name', () => {
  const alive = createAliveGateways()
  alive.came('b', '1')
  alive.came('a', '1')
  expect(alive.list(0)).toEqual([
    { name: 'a', epoch: '1' },
    { name: 'b', epoch: '1' },
  ])
  alive.went('a', false, 1_000)
  expect(alive.list(1_000 + ALIVE_GRACE_MS - 1)).toHaveLength(2) // its requests may still be answered
  alive.came('a', '2')
  expect(alive.list(1_000 + ALIVE_GRACE_MS)[0]).toEqual({ name: 'a', epoch: '2' })
  alive.went('a', true, 20_000)
  alive.went('b', false, 20_000)
  expect(alive.list(20_000)).toEqual([{ name: 'b', epoch: '1' }])
  expect(alive.list(20_000 + ALIVE_GRACE_MS)).toEqual([])
})
