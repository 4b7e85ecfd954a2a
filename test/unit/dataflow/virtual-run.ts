/**
 * Runs requests through plans with models that are functions, in virtual time: events happen in the order of their times, and
 * a model takes as long as the test says.
 */
import { compile } from '../../../dataflow/plan/compile.ts'
import type { Plan } from '../../../dataflow/plan/plan.ts'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import type { InferenceRequest, InferenceResponse } from '../../../api/oip/inference.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import { decodeElements } from '../../../api/oip/elements.ts'
import { advance, type Run, start } from '../../../dataflow/executor/executor.ts'
import type { Effect, ExecutorEvent, Failure } from '../../../dataflow/executor/types.ts'

/** The outputs, or an error, for a call's inputs; with how long it takes when that matters. */
export type Model = (inputs: readonly Tensor[], request: InferenceRequest) => readonly Tensor[] | Error
export interface VirtualModels {
  readonly models: Readonly<Record<string, Model>>
  /** Of each step; 1 ms when absent. */
  readonly latencyMs?: Readonly<Record<string, number>>
}
export interface RunOptions extends VirtualModels {
  readonly deadlineMs?: number
  readonly request?: Partial<InferenceRequest>
  /** What happens besides, as `[time, event]`. */
  readonly also?: readonly (readonly [number, (run: Run) => ExecutorEvent])[]
}

export interface Outcome {
  readonly answer: InferenceResponse | undefined
  readonly failure: Failure | undefined
  readonly sideFailures: readonly Failure[]
  /** When the answer or the failure came. */
  readonly endedAtMs: number | undefined
  readonly finishedAtMs: number | undefined
  /** Every call in order: the step and its request. */
  readonly calls: readonly { readonly step: string; readonly request: InferenceRequest; readonly atMs: number }[]
  readonly cancelled: readonly string[]
  /** `name.side` of every edge recorded, in order. */
  readonly records: readonly string[]
  readonly run: Run
}

export const PIPELINE = 'p'

export function runPipeline(spec: PipelineSpec, inputs: readonly Tensor[], options: RunOptions): Outcome {
  return runPlan(compile(PIPELINE, 1, spec), inputs, options)
}

export function runPlan(plan: Plan, inputs: readonly Tensor[], options: RunOptions): Outcome {
  const { models, latencyMs = {}, deadlineMs = plan.timeoutMs, request = {}, also = [] } = options
  const queue: { readonly atMs: number; readonly event: (run: Run) => ExecutorEvent }[] = also.map(([atMs, event]) => ({
    atMs,
    event,
  }))
  const effects: { readonly atMs: number; readonly effect: Effect }[] = []
  const isCancelled = new Set<number>()
  let run = start(plan, { input: { id: '', parameters: {}, outputs: [], ...request, inputs }, nowMs: 0, deadlineMs })
  take(0)
  for (;;) {
    const first = queue.toSorted((a, b) => a.atMs - b.atMs)[0]
    if (first === undefined) break
    queue.splice(queue.indexOf(first), 1)
    const event = first.event(run)
    if (event.kind === 'answered' && isCancelled.has(event.call)) continue
    run = advance(plan, run.state, event)
    take(first.atMs)
  }
  return summarise(effects, run)

  function take(nowMs: number): void {
    for (const effect of run.effects) {
      effects.push({ atMs: nowMs, effect })
      if (effect.kind === 'setTimer')
        queue.push({ atMs: effect.atMs, event: () => ({ kind: 'timer', timer: effect.timer, nowMs: effect.atMs }) })
      if (effect.kind === 'cancel') isCancelled.add(effect.call)
      if (effect.kind === 'call') {
        const atMs = nowMs + (latencyMs[effect.step] ?? 1)
        queue.push({ atMs, event: () => call(models[effect.step], effect, atMs) })
      }
    }
  }
}

function call(model: Model | undefined, effect: Effect & { kind: 'call' }, nowMs: number): ExecutorEvent {
  const { request, call: number, step } = effect
  const outputs = model === undefined ? new Error(`no model ${step}`) : model(request.inputs, request)
  if (outputs instanceof Error) return { kind: 'failed', call: number, cause: outputs, nowMs }
  const { id, parameters } = request
  const response = { modelName: `${step}_1`, modelVersion: '1', id, parameters, outputs }
  return { kind: 'answered', call: number, response, nowMs }
}

function summarise(effects: readonly { readonly atMs: number; readonly effect: Effect }[], run: Run): Outcome {
  const of = <K extends Effect['kind']>(kind: K) =>
    effects.flatMap(({ atMs, effect }) =>
      effect.kind === kind ? [{ atMs, effect: effect as Extract<Effect, { kind: K }> }] : [],
    )
  const steps = new Map(of('call').map(({ effect }) => [effect.call, effect.step]))
  return {
    answer: of('answer')[0]?.effect.response,
    failure: of('fail')[0]?.effect.failure,
    sideFailures: of('sideFailed').map(({ effect }) => effect.failure),
    endedAtMs: [...of('answer'), ...of('fail')][0]?.atMs,
    finishedAtMs: of('finished')[0]?.atMs,
    calls: of('call').map(({ atMs, effect }) => ({ step: effect.step, request: effect.request, atMs })),
    cancelled: of('cancel').map(({ effect }) => steps.get(effect.call) ?? ''),
    records: of('record').map(({ effect }) => `${effect.end.name}.${effect.end.side}`),
    run,
  }
}

/** Tensors as `[name, values]`. */
export const valuesOf = (tensors: readonly Tensor[] | undefined): readonly (readonly [string, readonly unknown[]])[] =>
  (tensors ?? []).map((tensor) => [tensor.name, decodeElements(tensor).map(toValue)])

const toValue = (element: unknown) => (element instanceof Uint8Array ? Buffer.from(element).toString('utf8') : element)
