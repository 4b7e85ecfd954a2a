import type { AgentServiceHandlers } from '../../api/generated/millrace/agent/v1/AgentService.ts'
import { leaderStream } from '../grpc/peer-streams.ts'
import type { ControlPlane } from '../loop/control-plane.ts'

export const createAgentService = (controlPlane: Pick<ControlPlane, 'role'>): AgentServiceHandlers => ({
  Connect: leaderStream(controlPlane, ({ agents }, stream) => {
    agents.accept(stream)
  }),
})
