/** Everybody who runs pipelines for the leading scheduler, by role: pipeline gateways, engines, model gateways. */
import type { Kind } from '../../api/resources/resource.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { DependentKey } from '../domain/index/dependents.ts'
import { isOverTopics, wantedPipelineVersion } from '../domain/pipeline/facts.ts'
import type { EnginesView, ModelGatewaysView } from '../domain/pipeline/gateways-view.ts'
import { acceptPeer } from '../grpc/peer-streams.ts'
import { type Gateways, type GatewaysDeps, startGateways } from './gateways.ts'
import { checkIntroduction } from './messages.ts'
import { type DataflowStream, dispatch } from './streams.ts'
import { engineRole, modelGatewayRole } from './worker-role.ts'
import { startWorkers, type WorkerReport, type Workers } from './workers.ts'

export interface DataflowDeps extends Omit<GatewaysDeps, 'onAlive'> {
  /** Whether Envoys can check gateways that speak TLS. */
  readonly trustsTls: boolean
}

export interface Dataflow extends Running {
  /** Takes a new stream; its first message is Introduction. */
  readonly accept: (stream: DataflowStream) => void
  readonly push: (changes: readonly DocumentChange[]) => void
  readonly gateways: Gateways
  readonly engines: Workers
  readonly enginesView: EnginesView
  readonly modelGateways: Workers
  readonly modelGatewaysView: ModelGatewaysView
  readonly workers: () => readonly WorkerReport[]
  /** Records of the inputs of a model or a pipeline that are not done; undefined: nobody reads them, or has said yet. */
  readonly lagOf: (kind: Kind, name: string) => number | undefined
}

export function startDataflow(deps: DataflowDeps): Dataflow {
  const { cluster, storeId, now, log } = deps
  const gateways = startGateways({
    ...deps,
    onAlive: () => {
      engines.sayAlive()
    },
    log: log.child({ part: 'gateways' }),
  })
  const engines = startWorkers({
    role: engineRole(cluster),
    storeId,
    aliveGateways: gateways.alive,
    onSaid: (pipelines) => {
      deps.onSaid(pipelines.map((name) => `pipeline/${name}` as const))
    },
    onOutage: deps.onOutage,
    now,
    log: log.child({ part: 'engines' }),
  })
  const modelGateways = startWorkers({
    role: modelGatewayRole(cluster),
    storeId,
    aliveGateways: () => undefined,
    onSaid: (models) => {
      deps.onSaid(models.flatMap((model) => pipelinesOverTopics(cluster, model)))
    },
    onOutage: deps.onOutage,
    now,
    log: log.child({ part: 'model gateways' }),
  })
  const roles = { PIPELINE_GATEWAY: gateways, ENGINE: engines, MODEL_GATEWAY: modelGateways }
  return {
    accept: (stream) => {
      acceptPeer(stream, {
        expected: 'Introduction',
        first: ({ introduction }) => introduction,
        connect: (introduction) => {
          checkIntroduction(introduction, deps.trustsTls)
          return roles[introduction.role].accept(stream, introduction)
        },
        receive: dispatch,
        nameOf: ({ name }) => name,
        log,
      })
    },
    push: (changes) => {
      for (const part of [gateways, engines, modelGateways]) part.push(changes)
    },
    gateways,
    engines,
    enginesView: { areHere: engines.areHere, readerOf: engines.readerOf, said: engines.said },
    modelGateways,
    modelGatewaysView: { areHere: modelGateways.areHere, readerOf: modelGateways.readerOf },
    lagOf: (kind, name) => {
      if (kind === 'Pipeline') return engines.lagOf(name)
      return kind === 'Model' ? modelGateways.lagOf(name) : undefined
    },
    workers: () => [...gateways.report(), ...engines.report(), ...modelGateways.report()],
    stop: async () => {
      await Promise.all([gateways.stop(), engines.stop(), modelGateways.stop()])
    },
  }
}

/** Pipelines whose steps wait for whoever reads this model's inputs. */
const pipelinesOverTopics = (cluster: ClusterState, model: string): readonly DependentKey[] =>
  [...cluster.dependentsOf('model', model)].filter((key) => {
    const [kind, name = ''] = key.split('/')
    const pipeline = kind === 'pipeline' ? cluster.pipeline(name) : undefined
    return pipeline !== undefined && isOverTopics(wantedPipelineVersion(pipeline))
  })
