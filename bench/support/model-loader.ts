/** LoadModel as any client of the scheduler's API sends it, a bounded number at a time. */
import { credentials } from '@grpc/grpc-js'
import { GRPC_OPTIONS, Scheduler } from '../../api/grpc.ts'
import { grpcCall } from '../../test/support/grpc-call.ts'

const DEADLINE_MS = 60_000

export interface ModelToLoad {
  readonly name: string
  readonly storageUri: string
  readonly requirement: string
  readonly replicas: number
  /** Another value makes another version. */
  readonly parameter?: string
}

export interface ModelLoader {
  /** Resolves when the scheduler has accepted it. */
  load(model: ModelToLoad): Promise<void>
  close(): void
}

export function createModelLoader(scheduler: string): ModelLoader {
  const client = new Scheduler(scheduler, credentials.createInsecure(), {
    ...GRPC_OPTIONS,
    'grpc.initial_reconnect_backoff_ms': 20,
    'grpc.max_reconnect_backoff_ms': 100,
  })
  return {
    load: async ({ name, storageUri, requirement, replicas, parameter }) => {
      const model = {
        meta: { name },
        modelSpec: {
          uri: storageUri,
          requirements: [requirement],
          memoryBytes: 100_000,
          ...(parameter === undefined ? {} : { parameters: [{ name: 'revision', value: parameter }] }),
        },
        deploymentSpec: { replicas },
      }
      await grpcCall((done) => client.LoadModel({ model }, { deadline: Date.now() + DEADLINE_MS }, done))
    },
    close: () => {
      client.close()
    },
  }
}
