import { expect, test } from 'vitest'
import { planRestart, STABLE_AFTER_MS } from '../../../up/supervisor/restart-policy.ts'

test.each([0, 0.5, 0.999])('every delay lies between 0.2 and 5 seconds (random %d)', (random) => {
  for (let attempt = 0; attempt < 50; attempt++) {
    const { delayMs } = planRestart(attempt, 0, () => random)
    expect(delayMs).toBeGreaterThanOrEqual(200)
    expect(delayMs).toBeLessThanOrEqual(5_000)
  }
})

test('deaths in short succession wait longer each time', () => {
  const delays: number[] = []
  for (let attempt = 0; delays.length < 5;) {
    const restart = planRestart(attempt, 100, () => 0)
    delays.push(restart.delayMs)
    attempt = restart.attempt
  }
  expect(delays).toEqual([200, 400, 800, 1600, 2500])
})

test('a process that was stable starts again from the shortest delay', () => {
  expect(planRestart(9, STABLE_AFTER_MS, () => 0)).toEqual({ delayMs: 200, attempt: 1 })
})
