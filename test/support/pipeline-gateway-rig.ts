/** A whole pipeline gateway in this process, between a fake scheduler and a fake ingress. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { pipelineGatewayProcess } from '../../dataflow/pipeline-gateway/config.ts'
import { type GatewayPorts, startPipelineGateway } from '../../dataflow/pipeline-gateway/pipeline-gateway.ts'
import { parseConfig } from '../../kit/config.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { silentLogger } from '../../kit/log.ts'
import {
  type FakeDataflowScheduler,
  type FakeSubscription,
  startFakeDataflowScheduler,
} from './fake-dataflow-scheduler.ts'
import { type FakeIngress, startFakeIngress } from './fake-ingress.ts'

export interface RunningGateway extends GatewayPorts {
  readonly url: string
  readonly client: InstanceType<typeof GRPCInferenceService>
  stop(): Promise<void>
}

export interface PipelineGatewayRig {
  readonly scheduler: FakeDataflowScheduler
  readonly ingress: FakeIngress
  readonly plansFile: string
  startGateway(...flags: string[]): Promise<RunningGateway>
  /** Loads and waits until the gateway says so. */
  load(subscription: FakeSubscription, pipeline: string, version: number, spec: PipelineSpec): Promise<void>
  stop(): Promise<void>
}

export async function startPipelineGatewayRig(): Promise<PipelineGatewayRig> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-gateway-'))
  const plansFile = join(folder, 'pipelines.json')
  const scheduler = await startFakeDataflowScheduler()
  const ingress = await startFakeIngress()
  const gateways: RunningGateway[] = []
  return {
    scheduler,
    ingress,
    plansFile,
    startGateway: async (...flags) => {
      const ports = ['rest', 'grpc', 'http'].flatMap((name) => [`--${name}-port`, '0'])
      const parsed = parseConfig(
        pipelineGatewayProcess,
        ['--scheduler', scheduler.address, '--ingress', ingress.address, '--plans-file', plansFile, ...ports, ...flags],
        {},
      )
      if (parsed.kind !== 'run') throw new Error('unreachable')
      const stack: Running[] = []
      const started = await startPipelineGateway(parsed.config, silentLogger, (_, running) => stack.push(running))
      const client = new GRPCInferenceService(
        `127.0.0.1:${String(started.grpcPort)}`,
        credentials.createInsecure(),
        GRPC_OPTIONS,
      )
      const gateway: RunningGateway = {
        ...started,
        url: `http://127.0.0.1:${String(started.restPort)}`,
        client,
        stop: async () => {
          client.close()
          for (let running = stack.pop(); running; running = stack.pop()) await running.stop()
        },
      }
      gateways.push(gateway)
      return gateway
    },
    load: async (subscription, pipeline, version, spec) => {
      subscription.load(pipeline, version, spec)
      await scheduler.until(`pipeline ${pipeline} to be loaded`, () =>
        subscription.reports.includes(`${pipeline} ${String(version)} LOADED`),
      )
    },
    stop: async () => {
      await Promise.all(gateways.map((gateway) => gateway.stop()))
      await scheduler.kill()
      await ingress.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
