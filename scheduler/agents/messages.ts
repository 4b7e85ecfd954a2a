/** Between the agent API's messages and documents. Pure. */
import { isIP } from 'node:net'
import type { Desired } from '../../api/generated/millrace/agent/v1/Desired.ts'
import type { DesiredModel } from '../../api/generated/millrace/agent/v1/DesiredModel.ts'
import type { Hello__Output } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { ObservedModel__Output } from '../../api/generated/millrace/agent/v1/ObservedModel.ts'
import type { ServerHealth__Output } from '../../api/generated/millrace/agent/v1/ServerHealth.ts'
import { nameProblem } from '../../api/resources/rules.ts'
import { type Issue, issuesError } from '../../kit/errors.ts'
import type { DesiredModelVersion } from '../domain/desired.ts'
import {
  type InternalName,
  type ModelSpec,
  type ObservedDocument,
  type ReplicaDocument,
  type ReplicaKey,
  SCHEMA_VERSION,
} from '../domain/documents.ts'
import { toReplicaKey } from '../domain/names.ts'
import type { LedgerDifference } from './ledger.ts'

const MAX_REPLICA_INDEX = 1_000_000
const MAX_PORT = 65_535
const NO_AUTHORITY =
  'it speaks TLS, and Envoys could not check it: give --upstream-ca to every scheduler (and --upstream-cert, --upstream-key where certificates are asked for)'
const TLS = { tls: true } as const

/** Who says Hello. @throws ServingError REQUEST_INVALID listing what is wrong with it. */
export function replicaKeyOf(hello: Hello__Output, trustsTls: boolean): ReplicaKey {
  const { config } = hello
  const problem = nameProblem(hello.serverName)
  const issues: Issue[] = problem === undefined ? [] : [{ path: 'hello.server_name', message: problem }]
  if (hello.replicaIndex > MAX_REPLICA_INDEX)
    issues.push({ path: 'hello.replica_index', message: `${String(hello.replicaIndex)} is not an index` })
  if (!config) issues.push({ path: 'hello.config', message: 'is missing' })
  else {
    if (isIP(config.address) === 0)
      issues.push({ path: 'hello.config.address', message: `${JSON.stringify(config.address)} is no IP address` })
    for (const [path, port] of [['rest_port', config.restPort] as const, ['grpc_port', config.grpcPort] as const])
      if (port < 1 || port > MAX_PORT)
        issues.push({ path: `hello.config.${path}`, message: `${String(port)}: no port` })
    for (const [path, port] of [
      ['proxy_rest_port', config.proxyRestPort] as const,
      ['proxy_grpc_port', config.proxyGrpcPort] as const,
    ])
      if (port > MAX_PORT) issues.push({ path: `hello.config.${path}`, message: `${String(port)}: no port` })
    for (const [path, tls] of [['server_tls', config.serverTls] as const, ['proxy_tls', config.proxyTls] as const])
      if (tls && !trustsTls) issues.push({ path: `hello.config.${path}`, message: NO_AUTHORITY })
  }
  if (issues.length > 0) throw issuesError('REQUEST_INVALID', 'Hello', issues)
  return toReplicaKey(hello.serverName, hello.replicaIndex)
}

/** The replica as its agent introduces it. A new process of the agent has nothing to drain any more. */
export function toReplicaDocument(
  key: ReplicaKey,
  hello: Hello__Output,
  before: ReplicaDocument | undefined,
  keepsDraining: boolean,
  nowMs: number,
): ReplicaDocument {
  const { config } = hello
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: before?.revision ?? 0,
    key,
    server: hello.serverName,
    index: hello.replicaIndex,
    address: config?.address ?? '',
    restPort: config?.restPort ?? 0,
    grpcPort: config?.grpcPort ?? 0,
    ...(config?.serverTls === true ? TLS : {}),
    ...(config?.proxyRestPort && config.proxyGrpcPort
      ? {
          proxy: {
            restPort: config.proxyRestPort,
            grpcPort: config.proxyGrpcPort,
            ...(config.proxyTls ? TLS : {}),
          },
        }
      : {}),
    memoryBytes: Number(config?.memoryBytes ?? 0),
    overcommitPercentage: config?.overcommitPercentage ?? 0,
    capabilities: config?.capabilities ?? [],
    nameSource: config?.nameSource === 'HEADER' ? 'header' : 'message',
    agent: { kind: 'connected' },
    health: toHealth(hello.health, before?.health, nowMs),
    draining: keepsDraining && before?.draining === true,
  }
}

export function toHealth(
  message: ServerHealth__Output | null,
  before: ReplicaDocument['health'] | undefined,
  nowMs: number,
): ReplicaDocument['health'] {
  switch (message?.state) {
    case 'SERVING':
      return { kind: 'serving' }
    case 'RELOADING':
      return { kind: 'reloading' }
    case 'DOWN':
    case undefined:
    default:
      return {
        kind: 'down',
        sinceMs: before?.kind === 'down' ? before.sinceMs : nowMs,
        reason: message?.reason ?? 'its agent has not said how it is',
      }
  }
}

const OBSERVED_STATES = {
  LOADING: 'Loading',
  LOADED: 'Loaded',
  LOAD_FAILED: 'LoadFailed',
  UNLOADING: 'Unloading',
  UNLOADED: 'Unloaded',
  UNLOAD_FAILED: 'UnloadFailed',
} as const

/** Undefined: the replica does not have it any more. */
export function toObservedDocument(message: ObservedModel__Output, atMs: number): ObservedDocument | undefined {
  const state = OBSERVED_STATES[message.state]
  if (state === 'Unloaded') return undefined
  return {
    internalName: message.internalName as InternalName,
    state,
    reason: message.reason,
    ...(message.code === '' ? {} : { code: message.code }),
    artifactBytes: Number(message.artifactBytes),
    attempt: message.attempt,
    atMs,
  }
}

/** Whether a report says nothing new; when it was made does not count. */
export function sameObserved(a: ObservedDocument | undefined, b: ObservedDocument | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return (
    a.state === b.state &&
    a.reason === b.reason &&
    a.code === b.code &&
    a.artifactBytes === b.artifactBytes &&
    a.attempt === b.attempt
  )
}

export function toDesiredMessage(
  epoch: string,
  full: boolean,
  difference: LedgerDifference,
  memoryBytesOf: (desired: DesiredModelVersion) => number,
): Desired {
  return {
    epoch,
    generation: String(difference.generation),
    full,
    models: difference.load.map((desired) => toDesiredModel(desired, memoryBytesOf(desired))),
    removed: [...difference.unload],
  }
}

function toDesiredModel(desired: DesiredModelVersion, memoryBytes: number): DesiredModel {
  const { spec } = desired
  return {
    internalName: desired.internalName,
    modelName: desired.model,
    version: desired.version,
    storageUri: spec.storageUri,
    ...(spec.artifactVersion === undefined ? {} : { artifactVersion: spec.artifactVersion }),
    requirements: [...spec.requirements],
    parameters: { ...spec.parameters },
    memoryBytes: String(memoryBytes),
    attempt: desired.attempt,
    ...toCallBack(spec),
  }
}

function toCallBack({ explainer, llm }: ModelSpec): Pick<DesiredModel, 'callBack'> {
  const { modelRef, pipelineRef } = explainer ?? llm ?? {}
  if (modelRef === undefined && pipelineRef === undefined) return {}
  const target = modelRef === undefined ? { pipeline: pipelineRef ?? '' } : { model: modelRef }
  return { callBack: { explainerType: explainer?.type ?? '', ...target } }
}
