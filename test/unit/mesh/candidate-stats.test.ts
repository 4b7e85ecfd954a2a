import { expect, test } from 'vitest'
import { toReading } from '../../../mesh/measure/candidate-stats.ts'

const bucket = (lower_bound: number, count: number) => ({ lower_bound, width: 1_000, count })

test('REST and gRPC of a candidate count together, and names are read back', () => {
  const counters = JSON.stringify({
    stats: [
      { name: 'wasmcustom.millrace.candidate_requests.exp.p%2Epipeline.rest', value: 10 },
      { name: 'wasmcustom.millrace.candidate_requests.exp.p%2Epipeline.grpc', value: 5 },
      { name: 'wasmcustom.millrace.candidate_errors.exp.p%2Epipeline.grpc', value: 2 },
      { name: 'wasmcustom.millrace.candidate_requests.exp.q%2Epipeline.rest', value: 3 },
      { name: 'wasmcustom.millrace.candidate_requests.broken%', value: 3 },
    ],
  })
  const details = [
    { name: 'wasmcustom.millrace.candidate_us.exp.p%2Epipeline.rest', totals: [bucket(1_000, 9), bucket(5_000, 1)] },
    { name: 'wasmcustom.millrace.candidate_us.exp.p%2Epipeline.grpc', totals: [bucket(1_000, 5)] },
  ]
  const reading = toReading([counters, JSON.stringify({ stats: [{ histograms: { details } }] })])
  expect([...reading.keys()]).toEqual(['exp'])
  expect(Object.fromEntries(reading.get('exp') ?? [])).toEqual({
    'p.pipeline': {
      requests: 15,
      errors: 2,
      buckets: [
        { lowerUs: 1_000, upperUs: 2_000, count: 14 },
        { lowerUs: 5_000, upperUs: 6_000, count: 1 },
      ],
    },
    'q.pipeline': { requests: 3, errors: 0, buckets: [] },
  })
})
