/** Manifests of pipelines and experiments for tests. */
const apiVersion = 'mlops.seldon.io/v1alpha1'

export const everyPipelineField = {
  steps: [
    { name: 'first' },
    {
      name: 'second',
      inputs: ['first', 'all.inputs.INPUT'],
      joinWindowMs: 100,
      tensorMap: { 'first.outputs.OUTPUT': 'INPUT' },
      triggers: ['all.inputs.ok'],
      inputsJoinType: 'outer',
      triggersJoinType: 'any',
      batch: { size: 2, windowMs: 10, rolling: true },
    },
  ],
  input: {
    externalInputs: ['other.outputs'],
    externalTriggers: ['other.step.one.outputs.x'],
    joinWindowMs: 5,
    joinType: 'inner',
    triggersJoinType: 'any',
    tensorMap: { 'other.outputs.a': 'b' },
  },
  output: { steps: ['second'], joinWindowMs: 0, stepsJoin: 'any', tensorMap: {} },
  dataflow: {
    cleanTopicsOnDelete: true,
    execution: 'direct',
    record: 'boundary',
    wait: 'all',
    onJournalFailure: 'fail-open',
  },
  allowCycles: true,
  maxStepRevisits: 3,
  timeoutMs: 1_000,
}

export const everyExperimentField = {
  resourceType: 'model',
  default: 'iris',
  candidates: [
    { name: 'iris', weight: 90 },
    { name: 'iris2', weight: 10, match: [{ header: 'x-group', exact: 'internal' }] },
  ],
  mirror: { name: 'iris3', percent: 12.5 },
  stickiness: { header: 'x-user-id' },
  rollout: {
    steps: [10, 50],
    intervalMs: 1_000,
    analysis: {
      maxErrorRate: 0.01,
      maxP50Ms: 5,
      maxP99Ms: 50.5,
      maxP50Ratio: 1.2,
      maxP99Ratio: 1.5,
      minRequests: 100,
    },
    onSuccess: 'promote',
    onFailure: 'rollback',
  },
}

export const pipeline = (spec: object, name = 'all') => ({ apiVersion, kind: 'Pipeline', metadata: { name }, spec })
export const experiment = (spec: object, name = 'ab') => ({ apiVersion, kind: 'Experiment', metadata: { name }, spec })
