import type { AgentServiceHandlers } from '../../api/generated/millrace/agent/v1/AgentService.ts'
import { ServingError } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'
import type { ControlPlane } from '../loop/control-plane.ts'

/** Agents belong to the leader; another scheduler sends them there. */
export function createAgentService(controlPlane: Pick<ControlPlane, 'role'>): AgentServiceHandlers {
  return {
    Connect: (stream) => {
      const role = controlPlane.role()
      if (role.kind === 'leading') {
        role.run.agents.accept(stream)
        return
      }
      if (role.leader === undefined) {
        const error = new ServingError('NOT_LEADER', 'no scheduler leads at the moment: connect again')
        stream.emit('error', toGrpcStatus(error))
        return
      }
      stream.on('error', () => undefined) // it is sent away in any case
      stream.write({ redirect: { address: role.leader.agentAddress } })
      stream.end()
    },
  }
}
