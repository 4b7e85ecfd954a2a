/** Takes what is measured beside the Envoys. It belongs to the leader; another scheduler says where that one is. */
import type { CandidateTotals__Output } from '../../api/generated/millrace/measurements/CandidateTotals.ts'
import type { MeasurementReport__Output } from '../../api/generated/millrace/measurements/MeasurementReport.ts'
import type { MeasurementsHandlers } from '../../api/generated/millrace/measurements/Measurements.ts'
import { ServingError } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'
import type { Measurement } from '../domain/experiment/measurement.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import type { Report } from '../loop/measurements.ts'

/** Envoy has about 90 buckets for each power of ten. */
const MAX_BUCKETS = 2_000
/** A rollout has two candidates. */
const MAX_CANDIDATES = 16
const MAX_REPORTER_LENGTH = 100

export function createMeasurementsService(controlPlane: Pick<ControlPlane, 'role'>): MeasurementsHandlers {
  return {
    Report: ({ request }, answer) => {
      const role = controlPlane.role()
      if (role.kind === 'leading') {
        try {
          role.run.measurements.note(toReport(request))
          answer(null, { measured: [...role.run.measurements.measured()] })
        } catch (error) {
          answer(toGrpcStatus(error))
        }
        return
      }
      if (role.leader !== undefined) answer(null, { redirect: role.leader.agentAddress })
      else answer(toGrpcStatus(new ServingError('NOT_LEADER', 'no scheduler leads at the moment: report again')))
    },
  }
}

/** @throws ServingError REQUEST_INVALID */
function toReport({ reporter, sequence, windows }: MeasurementReport__Output): Report {
  if (reporter === '' || reporter.length > MAX_REPORTER_LENGTH)
    throw new ServingError('REQUEST_INVALID', `reporter must be 1 to ${String(MAX_REPORTER_LENGTH)} characters long`)
  return {
    reporter,
    sequence: Number(sequence),
    windows: windows.map(({ experiment, window, candidates }) => {
      if (candidates.length > MAX_CANDIDATES)
        throw new ServingError(
          'REQUEST_INVALID',
          `${experiment} has ${String(candidates.length)} candidates in a report: at most ${String(MAX_CANDIDATES)}`,
        )
      return {
        experiment,
        window,
        candidates: new Map(candidates.map((totals) => [totals.candidate, toTotals(totals)])),
      }
    }),
  }
}

/** @throws ServingError REQUEST_INVALID */
function toTotals({ candidate, requests, errors, buckets }: CandidateTotals__Output): Measurement {
  if (buckets.length > MAX_BUCKETS)
    throw new ServingError(
      'REQUEST_INVALID',
      `${candidate} has ${String(buckets.length)} buckets in a report: at most ${String(MAX_BUCKETS)}`,
    )
  return {
    requests: Number(requests),
    errors: Number(errors),
    buckets: buckets.map((bucket) => ({
      lowerUs: bucket.lowerUs,
      upperUs: bucket.upperUs,
      count: Number(bucket.count),
    })),
  }
}
