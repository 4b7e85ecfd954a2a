/** The services in `api/proto`, loaded once, typed by the generated declarations. */
import { join } from 'node:path'
import { loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { packageRoot } from '../kit/root.ts'
import type { ProtoGrpcType as AdminProto } from './generated/admin.ts'
import type { ProtoGrpcType as AgentProto } from './generated/agent.ts'
import type { ProtoGrpcType as DataflowProto } from './generated/dataflow.ts'
import type { ProtoGrpcType as HealthProto } from './generated/health.ts'
import type { ProtoGrpcType as MeasurementsProto } from './generated/measurements.ts'
import type { ProtoGrpcType as OipProto } from './generated/oip.ts'
import type { ProtoGrpcType as SchedulerProto } from './generated/scheduler.ts'

/** 100 MB, the same bound as Envoy's default for request bodies. */
export const MAX_MESSAGE_BYTES = 100 * 1024 * 1024

/** Options for every client and server: grpc-js's own limit is 4 MiB. */
export const GRPC_OPTIONS = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
} as const

// The flags of scripts/build.mjs `generate`: the declarations are only true with these.
const definition = loadSync(
  [
    'scheduler.proto',
    'agent.proto',
    'oip.proto',
    'health.proto',
    'admin.proto',
    'dataflow.proto',
    'measurements.proto',
  ],
  {
    includeDirs: [join(packageRoot, 'api/proto')],
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  },
)
const loaded = loadPackageDefinition(definition) as unknown as SchedulerProto &
  AgentProto &
  OipProto &
  HealthProto &
  AdminProto &
  DataflowProto &
  MeasurementsProto

export const Scheduler = loaded.seldon.mlops.scheduler.Scheduler
export const HealthCheckService = loaded.seldon.mlops.health.HealthCheckService
export const AgentService = loaded.millrace.agent.v1.AgentService
export const GRPCInferenceService = loaded.inference.GRPCInferenceService
export const Admin = loaded.millrace.admin.v1.Admin
export const Dataflow = loaded.millrace.dataflow.Dataflow
export const Measurements = loaded.millrace.measurements.Measurements
