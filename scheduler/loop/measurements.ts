/**
 * What the Envoys measured in the windows that decisions wait for, in the leader's memory. Reporters send totals, so a new leader
 * has everything again with their next reports; the same report twice, or an older one late, changes nothing.
 */
import type { ExperimentDocument } from '../domain/documents.ts'
import { addMeasurements, type Measurement, NOTHING_MEASURED } from '../domain/experiment/measurement.ts'
import { windowOf } from '../domain/experiment/reconcile.ts'

/** Beside one Envoy each; more are not taken. */
const MAX_REPORTERS = 1_000
/** How long news wait at least, so that many Envoys do not mean many looks. */
const NEWS_MS = 500

export interface MeasurementsDeps {
  /** More was measured of this experiment: it may be clear already. */
  readonly onNews: (experiment: string) => void
  readonly now: () => number
}

export interface MeasuredWindow {
  readonly experiment: string
  readonly window: string
}

export interface Report {
  readonly reporter: string
  readonly sequence: number
  readonly windows: readonly (MeasuredWindow & { readonly candidates: ReadonlyMap<string, Measurement> })[]
}

export interface Measurements {
  /** The experiment waits for this window; undefined: for none. What was measured in another one is forgotten. */
  readonly follow: (experiment: string, window: string | undefined) => void
  readonly measured: () => readonly MeasuredWindow[]
  readonly note: (report: Report) => void
  /** All Envoys together. */
  readonly of: (experiment: string, window: string, candidate: string) => Measurement
}

interface Reported {
  readonly sequence: number
  readonly candidates: ReadonlyMap<string, Measurement>
}

interface Open {
  readonly window: string
  readonly reports: Map<string, Reported>
  toldAtMs: number
}

export function createMeasurements({ onNews, now }: MeasurementsDeps): Measurements {
  const open = new Map<string, Open>()
  return {
    follow: (experiment, window) => {
      if (window === undefined) open.delete(experiment)
      else if (open.get(experiment)?.window !== window)
        open.set(experiment, { window, reports: new Map(), toldAtMs: 0 })
    },
    measured: () => [...open].map(([experiment, { window }]) => ({ experiment, window })),
    note: ({ reporter, sequence, windows }) => {
      for (const { experiment, window, candidates } of windows) {
        const known = open.get(experiment)
        if (known?.window !== window) continue // of a window that has been decided
        const last = known.reports.get(reporter)
        if (last === undefined ? known.reports.size >= MAX_REPORTERS : last.sequence >= sequence) continue
        known.reports.set(reporter, { sequence, candidates })
        if (now() - known.toldAtMs < NEWS_MS) continue
        known.toldAtMs = now()
        onNews(experiment)
      }
    },
    of: (experiment, window, candidate) => {
      const known = open.get(experiment)
      if (known?.window !== window) return NOTHING_MEASURED
      return [...known.reports.values()]
        .flatMap(({ candidates }) => candidates.get(candidate) ?? [])
        .reduce(addMeasurements, NOTHING_MEASURED)
    },
  }
}

/** What their records wait for now; a name alone: the experiment is gone. */
export function followRollouts(
  measurements: Measurements,
  experiments: readonly (ExperimentDocument | string)[],
): void {
  for (const experiment of experiments)
    if (typeof experiment === 'string') measurements.follow(experiment, undefined)
    else measurements.follow(experiment.name, windowOf(experiment.rollout))
}
