/** What the processes of an embedded server replica are told so that it takes JavaScript models. Pure. */
import type { ServerKind } from './kinds.ts'
import type { ReplicaOptions } from './replica-plan.ts'

export const JAVASCRIPT_MODELS_FLAGS = {
  modelServer: ['--javascript-models'],
  agent: ['--extra-capabilities', 'javascript'],
} as const

export const javascriptModelsFlags = (kind: ServerKind, enabled: boolean): ReplicaOptions['extraFlags'] =>
  enabled && kind === 'embedded' ? JAVASCRIPT_MODELS_FLAGS : {}
