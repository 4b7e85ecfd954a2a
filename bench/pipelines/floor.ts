/** The floor gateway in the place of the mesh's own: what is left to gain of one step, in any gateway. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { ServingError } from '../../kit/errors.ts'
import { packageRoot } from '../../kit/root.ts'
import type { TestMesh } from '../../test/support/mesh.ts'
import { MODEL } from './arena.ts'
import type { FloorOptions } from './floor-gateway.ts'

export interface Floor {
  readonly pid: number
  stop(): Promise<void>
}

/** The mesh has no gateway afterwards. */
export async function startFloor(mesh: TestMesh, bootstrapServers: string, pipeline: string): Promise<Floor> {
  mesh.freeze('scheduler') // else it tells Envoy that the gateway is gone
  await mesh.kill('pipeline-gateway-0')
  const options: FloorOptions = {
    port: mesh.ports.pipelineGateways[0]?.rest ?? 0,
    ingressPort: mesh.ports.ingress,
    kafkaPort: Number(bootstrapServers.split(',')[0]?.split(':')[1]),
    model: MODEL,
    topic: `seldon.default.pipeline.${pipeline}.inputs`,
  }
  const script = join(packageRoot, 'bench/pipelines/floor-gateway.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const isUp = await Promise.race([once(child.stdout, 'data').then(() => true), exited.then(() => false)])
  if (!isUp || child.pid === undefined) throw new ServingError('PROCESS_FAILED', 'the floor gateway ended at its start')
  return {
    pid: child.pid,
    stop: async () => {
      child.kill('SIGKILL')
      await exited
      mesh.thaw('scheduler')
    },
  }
}
