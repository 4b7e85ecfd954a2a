import type { DataflowHandlers } from '../../api/generated/millrace/dataflow/Dataflow.ts'
import { leaderStream } from '../grpc/peer-streams.ts'
import type { ControlPlane } from '../loop/control-plane.ts'

export const createDataflowService = (controlPlane: Pick<ControlPlane, 'role'>): DataflowHandlers => ({
  Subscribe: leaderStream(controlPlane, ({ dataflow }, stream) => {
    dataflow.accept(stream)
  }),
})
