/** What a pipeline is addressed as; a dot cannot be in a model's name. */
const SUFFIX = '.pipeline'

export const toPipelineTarget = (pipeline: string): string => `${pipeline}${SUFFIX}`

/** Undefined: the target is no pipeline's. */
export const toPipelineName = (target: string): string | undefined =>
  target.endsWith(SUFFIX) ? target.slice(0, -SUFFIX.length) : undefined
