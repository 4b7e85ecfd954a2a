/**
 * How Millrace bears many models: fake server replicas carry them through the real scheduler and Envoy, each entering by
 * LoadModel; one more goes through a real agent and embedded server.
 */
import { parseArgs } from 'node:util'
import { modelNames } from '../../test/support/many-models.ts'
import type { Bench } from '../main.ts'
import { startFleetMesh } from '../support/fleet-mesh.ts'
import { loadAll } from '../support/many-models.ts'
import { residentMb } from '../support/memory.ts'
import { buildNative } from '../support/native.ts'
import { say } from '../support/progress.ts'
import { changeManyUnderLoad } from './bulk-change.ts'
import { loseReplica } from './lose-replica.ts'
import { measureOneMore } from './one-more.ts'
import { requestRatio } from './request-time.ts'

const MODELS_CHANGED_AT_ONCE = 1_000

export const scale: Bench = {
  summary: 'many models: loading, one more, request time, memory, a lost replica [--models 10000] [--samples 30]',
  run: async (argv) => {
    const { values } = parseArgs({
      args: [...argv],
      options: { models: { type: 'string', default: '10000' }, samples: { type: 'string', default: '30' } },
    })
    const names = modelNames(Number(values.models))
    const tools = await buildNative()
    const fleet = await startFleetMesh(tools)
    const memory = { scheduler: 0, envoy: 0 }
    /** The highest of the values seen after each step. */
    const noteMemory = (step: string): void => {
      const [scheduler, envoy] = [residentMb(fleet.mesh.pid('scheduler')), residentMb(fleet.mesh.pid('envoy-0'))]
      memory.scheduler = Math.max(memory.scheduler, scheduler)
      memory.envoy = Math.max(memory.envoy, envoy)
      say(`after ${step}: scheduler ${scheduler.toFixed(0)} MB, Envoy ${envoy.toFixed(0)} MB`)
    }
    try {
      const loadSeconds = await loadAll(tools, fleet, names)
      noteMemory('loading')
      const oneMore = await measureOneMore(fleet, Number(values.samples))
      noteMemory('one more')
      const bulkFailed = await changeManyUnderLoad(fleet, names.slice(0, MODELS_CHANGED_AT_ONCE))
      noteMemory('the change of many')
      const loseSeconds = await loseReplica(tools, fleet)
      noteMemory('a lost replica')
      const ratio = await requestRatio(tools, fleet, names)
      return {
        models: names.length,
        load_s: loadSeconds,
        one_more_p50_ms: oneMore.p50,
        one_more_p99_ms: oneMore.p99,
        request_ratio: ratio,
        scheduler_mb: memory.scheduler,
        envoy_mb: memory.envoy,
        lose_replica_s: loseSeconds,
        bulk_failed: bulkFailed,
      }
    } catch (error) {
      process.stderr.write(`${fleet.mesh.logTails()}\n`)
      throw error
    } finally {
      await fleet.stop()
    }
  },
}
