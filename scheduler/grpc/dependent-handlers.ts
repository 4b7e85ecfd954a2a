/** Pipelines and experiments in the API that existing clients speak. Handlers only translate. */
import type { KubernetesMeta__Output as KubernetesMetaMessage } from '../../api/generated/seldon/mlops/scheduler/KubernetesMeta.ts'
import type { ExperimentStatusResponse } from '../../api/generated/seldon/mlops/scheduler/ExperimentStatusResponse.ts'
import type { PipelineStatusResponse } from '../../api/generated/seldon/mlops/scheduler/PipelineStatusResponse.ts'
import type { SchedulerHandlers } from '../../api/generated/seldon/mlops/scheduler/Scheduler.ts'
import { ServingError } from '../../kit/errors.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import type { Feed } from '../loop/feed.ts'
import { refuseMassPipelineRemoval } from '../operations/changes.ts'
import {
  planApplyExperiment,
  planApplyPipeline,
  planDeleteExperiment,
  planDeletePipeline,
  toExperimentInput,
  toPipelineInput,
} from '../operations/dependent-changes.ts'
import { createUid } from '../operations/uid.ts'
import { compatibleStatus, sendMapped, streaming, unary } from './answer.ts'
import { parseExperimentMessage, toExperimentStatusMessage, toStoppedMessage } from './experiment-messages.ts'
import { toKubernetesMeta } from './model-draft.ts'
import { parsePipelineMessage, toPipelineStatusMessage, toTerminatedPipelineMessage } from './pipeline-messages.ts'
import { serveSubscription } from './subscription.ts'

export interface DependentHandlersDeps {
  readonly controlPlane: ControlPlane
  readonly feed: Feed
  readonly now: () => number
}

type Handlers = Pick<
  SchedulerHandlers,
  | 'LoadPipeline'
  | 'UnloadPipeline'
  | 'PipelineStatus'
  | 'SubscribePipelineStatus'
  | 'StartExperiment'
  | 'StopExperiment'
  | 'ExperimentStatus'
  | 'SubscribeExperimentStatus'
>

export function createDependentHandlers({ controlPlane, feed, now }: DependentHandlersDeps): Handlers {
  const { cluster } = controlPlane
  return {
    LoadPipeline: unary(compatibleStatus, async ({ pipeline }) => {
      const input = toPipelineInput(parsePipelineMessage(pipeline), metaOf(pipeline?.kubernetesMeta))
      const uid = createUid()
      await controlPlane.submit({ plan: (state) => planApplyPipeline(state, input, { nowMs: now(), uid }) })
      return {}
    }),
    UnloadPipeline: unary(compatibleStatus, async ({ name }) => {
      await controlPlane.submit({
        plan: (state) => {
          refuseMassPipelineRemoval(state, name) // I9
          return planDeletePipeline(state, name, now())
        },
      })
      return {}
    }),
    PipelineStatus: streaming(compatibleStatus, ({ name, allVersions }, stream) => {
      const pipelines = name ? [known(cluster.pipeline(name), 'PIPELINE_NOT_FOUND', name)] : [...cluster.pipelines()]
      sendMapped(stream, pipelines, (pipeline) => toPipelineStatusMessage(pipeline, allVersions))
    }),
    SubscribePipelineStatus: streaming(compatibleStatus, ({ isPipelineGateway }, stream) => {
      if (isPipelineGateway)
        throw new ServingError('UNIMPLEMENTED', 'pipeline gateways subscribe with millrace.dataflow.Dataflow')
      serveSubscription<unknown, PipelineStatusResponse>(stream, {
        feed,
        replay: [...cluster.pipelines()].map(({ name }) => name),
        namesOf: (change) => (change.kind === 'pipeline' ? [change.name] : []),
        render: (name, last) => {
          const pipeline = cluster.pipeline(name)
          if (pipeline !== undefined) return toPipelineStatusMessage(pipeline, false)
          const before = last?.kind === 'pipeline' ? last.before : undefined
          return before && toTerminatedPipelineMessage(before, now())
        },
        delayMs: 0,
      })
    }),
    StartExperiment: unary(compatibleStatus, async ({ experiment }) => {
      const input = toExperimentInput(parseExperimentMessage(experiment), metaOf(experiment?.kubernetesMeta))
      await controlPlane.submit({ plan: (state) => planApplyExperiment(state, input, now()) })
      return {}
    }),
    StopExperiment: unary(compatibleStatus, async ({ name }) => {
      await controlPlane.submit({ plan: (state) => planDeleteExperiment(state, name, now()) })
      return {}
    }),
    ExperimentStatus: streaming(compatibleStatus, ({ name }, stream) => {
      const experiments = name
        ? [known(cluster.experiment(name), 'EXPERIMENT_NOT_FOUND', name)]
        : [...cluster.experiments()]
      sendMapped(stream, experiments, toExperimentStatusMessage)
    }),
    SubscribeExperimentStatus: streaming(compatibleStatus, (_request, stream) => {
      serveSubscription<unknown, ExperimentStatusResponse>(stream, {
        feed,
        replay: [...cluster.experiments()].map(({ name }) => name),
        namesOf: (change) => (change.kind === 'experiment' ? [change.name] : []),
        render: (name, last) => {
          const experiment = cluster.experiment(name)
          if (experiment !== undefined) return toExperimentStatusMessage(experiment)
          const before = last?.kind === 'experiment' ? last.before : undefined
          return before && toStoppedMessage(before)
        },
        delayMs: 0,
      })
    }),
  }
}

const metaOf = (message: KubernetesMetaMessage | null | undefined) => (message ? toKubernetesMeta(message) : undefined)

function known<Document>(
  document: Document | undefined,
  code: 'PIPELINE_NOT_FOUND' | 'EXPERIMENT_NOT_FOUND',
  name: string,
): Document {
  if (document !== undefined) return document
  throw new ServingError(code, `${code === 'PIPELINE_NOT_FOUND' ? 'pipeline' : 'experiment'} ${name} does not exist`)
}
