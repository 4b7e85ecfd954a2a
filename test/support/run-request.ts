import type { PipelineEnd, PipelineRequest, PipelineRunner } from '../../dataflow/runner/pipeline-request.ts'

/** As a promise. */
export const runRequest = (runner: Pick<PipelineRunner, 'run'>, request: PipelineRequest): Promise<PipelineEnd> =>
  new Promise((resolve) => {
    runner.run(request, resolve)
  })
