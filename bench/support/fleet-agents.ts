/** A process of fake agents: each has loaded at once what it is told, and says that its server serves. */
import { serveHttp } from '../../kit/http.ts'
import { createLogger } from '../../kit/log.ts'
import { createFakeAgent } from '../../test/support/fake-agent.ts'

export interface FleetAgentsOptions {
  readonly schedulerPort: number
  readonly server: string
  readonly capability: string
  readonly memoryBytes: number
  /** GET /readyz answers 200 once all are connected. */
  readonly httpPort: number
  readonly replicas: readonly { readonly index: number; readonly restPort: number; readonly grpcPort: number }[]
}

const { schedulerPort, server, capability, memoryBytes, httpPort, replicas } = JSON.parse(
  process.argv[2] ?? '',
) as FleetAgentsOptions
const agents = replicas.map((replica) =>
  createFakeAgent({ ...replica, schedulerPort, server, memoryBytes, capabilities: [capability] }),
)
for (const agent of agents) agent.connect()
await serveHttp({
  host: '127.0.0.1',
  port: httpPort,
  log: createLogger('fleet-agents', 'info'),
  routes: {
    '/readyz': () => ({ status: agents.every((agent) => agent.connected()) ? 200 : 503, body: '' }),
  },
})
