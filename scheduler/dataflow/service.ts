import type { DataflowHandlers } from '../../api/generated/millrace/dataflow/Dataflow.ts'
import { ServingError } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'
import type { ControlPlane } from '../loop/control-plane.ts'

/** Gateways belong to the leader, as agents do; another scheduler sends them there. */
export function createDataflowService(controlPlane: Pick<ControlPlane, 'role'>): DataflowHandlers {
  return {
    Subscribe: (stream) => {
      const role = controlPlane.role()
      if (role.kind === 'leading') {
        role.run.gateways.accept(stream)
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
