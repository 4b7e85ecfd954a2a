/**
 * The API that existing clients of `seldon.mlops.scheduler.Scheduler` speak: models and servers here, the rest beside it. Handlers only translate;
 * what a call means the domain says, and an answer to a write means that it is in Redis.
 */
import type { HealthCheckServiceHandlers } from '../../api/generated/seldon/mlops/health/HealthCheckService.ts'
import type { ModelStatusResponse } from '../../api/generated/seldon/mlops/scheduler/ModelStatusResponse.ts'
import type { SchedulerHandlers } from '../../api/generated/seldon/mlops/scheduler/Scheduler.ts'
import type { ServerNotify__Output } from '../../api/generated/seldon/mlops/scheduler/ServerNotify.ts'
import type { ServerStatusResponse } from '../../api/generated/seldon/mlops/scheduler/ServerStatusResponse.ts'
import { ServingError } from '../../kit/errors.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import { parseReplicaKey } from '../domain/names.ts'
import { type ModelInput, parseModelDraft, parseServerDraft, type ServerInput } from '../domain/validate.ts'
import type { ControlPlane } from '../loop/control-plane.ts'
import type { Feed } from '../loop/feed.ts'
import { describeAwaited } from '../loop/readiness.ts'
import { MAX_PLAN_WRITES } from '../loop/writer.ts'
import { compatibleStatus, sendMapped, streaming, unary } from './answer.ts'
import { createDependentHandlers } from './dependent-handlers.ts'
import { planApplyModel, planApplyServer, planDeleteModel, refuseMassRemoval } from '../operations/changes.ts'
import { toKubernetesMeta, toModelDraft, toScalingDraft } from './model-draft.ts'
import { toModelStatusMessage, toServerStatusMessage, toTerminatedMessage } from './status-messages.ts'
import { serveSubscription } from './subscription.ts'

/** Many models of one server change together. */
const SERVER_STATUS_DELAY_MS = 250

export interface SchedulerServiceDeps {
  readonly controlPlane: ControlPlane
  readonly feed: Feed
  readonly version: string
  readonly now: () => number
}

export function createSchedulerService(deps: SchedulerServiceDeps): SchedulerHandlers {
  const { controlPlane, now } = deps
  const { cluster } = controlPlane
  const notServed = unary<unknown, never>(compatibleStatus, () => {
    throw new ServingError('UNIMPLEMENTED', 'gateways of this version report with millrace.dataflow.Dataflow')
  })

  return {
    LoadModel: unary(compatibleStatus, async ({ model }) => {
      const input = parseModelDraft(toModelDraft(model))
      await applyModel(controlPlane, input, now)
      return {}
    }),
    UnloadModel: unary(compatibleStatus, async ({ model, kubernetesMeta }) => {
      const name = model?.name ?? ''
      const meta = kubernetesMeta ? toKubernetesMeta(kubernetesMeta) : undefined
      await controlPlane.submit({
        plan: (state) => {
          refuseMassRemoval(state, name) // I9
          return planDeleteModel(state, name, now(), meta)
        },
      })
      return {}
    }),
    ServerNotify: unary(compatibleStatus, async ({ servers }) => {
      const inputs = servers.map(toServerInput)
      for (let first = 0; first < inputs.length; first += MAX_PLAN_WRITES) {
        const some = inputs.slice(first, first + MAX_PLAN_WRITES)
        await controlPlane.submit({
          plan: (state) => ({
            writes: some.flatMap((input) => planApplyServer(state, input).writes),
            answer: undefined,
          }),
        })
      }
      return {}
    }),
    ModelStatus: streaming(compatibleStatus, ({ model, allVersions }, stream) => {
      const models = model?.name ? [requireModel(cluster, model.name)] : [...cluster.models()]
      sendMapped(stream, models, (document) => toModelStatusMessage(document, cluster, allVersions))
    }),
    ServerStatus: streaming(compatibleStatus, ({ name }, stream) => {
      const messages = (name ? [name] : cluster.serverNames()).flatMap(
        (server) => toServerStatusMessage(server, cluster) ?? [],
      )
      if (name && messages.length === 0) throw new ServingError('SERVER_NOT_FOUND', `server ${name} does not exist`)
      sendMapped(stream, messages, (message) => message)
    }),
    SubscribeModelStatus: streaming(compatibleStatus, ({ isModelGateway }, stream) => {
      if (isModelGateway) throw new ServingError('UNIMPLEMENTED', 'model gateways are not served by this version')
      serveSubscription<unknown, ModelStatusResponse>(stream, {
        feed: deps.feed,
        replay: [...cluster.models()].map((model) => model.name),
        namesOf: (change) => (change.kind === 'model' ? [change.name] : []),
        render: (name, last) => {
          const model = cluster.model(name)
          if (model !== undefined) return toModelStatusMessage(model, cluster, false)
          const before = last?.kind === 'model' ? last.before : undefined
          return before && toTerminatedMessage(before, cluster, now())
        },
        delayMs: 0,
      })
    }),
    SubscribeServerStatus: streaming(compatibleStatus, (_request, stream) => {
      serveSubscription<unknown, ServerStatusResponse>(stream, {
        feed: deps.feed,
        replay: cluster.serverNames(),
        namesOf: serversOf,
        render: (server) => toServerStatusMessage(server, cluster),
        delayMs: SERVER_STATUS_DELAY_MS,
      })
    }),
    // A client that hears this sends what it has; the order is that in which things depend on each other.
    SubscribeControlPlane: streaming(compatibleStatus, (_request, stream) => {
      const role = controlPlane.role()
      if (role.kind !== 'leading')
        throw new ServingError(
          'NOT_LEADER',
          `resources are to be sent to the leader, ${role.leader?.address ?? 'not known yet'}`,
        )
      const end = deps.feed.watch(() => undefined) // it stays open, so it counts
      stream.on('cancelled', end)
      stream.on('close', end)
      for (const event of ['SEND_SERVERS', 'SEND_EXPERIMENTS', 'SEND_MODELS', 'SEND_PIPELINES'] as const)
        stream.write({ event })
    }),
    SchedulerStatus: unary(compatibleStatus, () => {
      const role = controlPlane.role()
      const awaited = role.kind === 'leading' ? role.run.readiness.awaited() : []
      return { applicationVersion: deps.version, awaitedServers: awaited.map((server) => describeAwaited([server])) }
    }),
    ...createDependentHandlers(deps),
    PipelineStatusEvent: notServed,
    ModelStatusEvent: notServed,
  }
}

export const healthService: HealthCheckServiceHandlers = {
  HealthCheck: unary(compatibleStatus, () => ({ ok: true })),
}

/** Applying a model that is as it was still asks for it once more: the way to give a failed one another try. */
async function applyModel(controlPlane: ControlPlane, input: ModelInput, now: () => number): Promise<void> {
  await controlPlane.submit({ plan: (state) => planApplyModel(state, input, now()) })
  controlPlane.kick([input.name])
}

function toServerInput(message: ServerNotify__Output): ServerInput {
  const { kubernetesMeta } = message
  return parseServerDraft({
    name: message.name,
    ...toScalingDraft({ ...message, replicas: message.expectedReplicas }),
    shared: message.shared,
    ...(kubernetesMeta ? { kubernetesMeta: toKubernetesMeta(kubernetesMeta) } : {}),
  })
}

function requireModel(cluster: ControlPlane['cluster'], name: string) {
  const model = cluster.model(name)
  if (model === undefined) throw new ServingError('MODEL_NOT_FOUND', `model ${name} does not exist`)
  return model
}

/** Servers whose status a change may alter. */
function serversOf(change: DocumentChange): Iterable<string> {
  switch (change.kind) {
    case 'server':
      return [change.name]
    case 'replica':
      return [parseReplicaKey(change.name).server]
    case 'observed':
      return [parseReplicaKey(change.replica).server]
    case 'model':
    case 'pipeline':
    case 'experiment':
    case 'gateway':
      return []
  }
}
