/** Whether users, scheduler, servers and Envoy agree, once nothing disturbs them. */
import type { ModelStatus, StoredModel } from '../../api/resources/status.ts'
import { pause } from '../../kit/backoff.ts'
import { ServingError } from '../../kit/errors.ts'
import { createGrpcSender, createRestSender } from '../support/open-loop.ts'
import type { TestMesh } from '../support/mesh.ts'
import type { Expectation, ExpectedModel } from './expectation.ts'
import { MODELS, type ModelName } from './plan.ts'

const DEADLINE_MS = 60_000
const LOOK_EVERY_MS = 250
const REQUEST_DEADLINE_MS = 5_000

/** Version that answered when all was settled last. */
export type Serving = Map<ModelName, number>

/** What is still not as it must be at the deadline; empty when all is well. Brings `serving` up to date. */
export async function untilSettled(mesh: TestMesh, expected: Expectation, serving: Serving): Promise<string[]> {
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  for (;;) {
    const problems = await look(mesh, expected, serving).catch((error: unknown) => [String(error)])
    if (problems.length === 0 || deadline.aborted) return problems
    await pause(LOOK_EVERY_MS, deadline)
  }
}

async function look(mesh: TestMesh, expected: Expectation, serving: Serving): Promise<string[]> {
  const statuses = new Map<ModelName, ModelStatus>()
  for (const name of MODELS) {
    const status = await statusOf(mesh, name)
    if (status !== undefined) statuses.set(name, status)
  }
  const problems = MODELS.flatMap((name) =>
    checkStatus(name, statuses.get(name), expected.get(name), serving.get(name)).map((text) => `${name}: ${text}`),
  )
  if (problems.length > 0) return problems
  const found = [...(await checkAnswers(mesh, statuses)), ...(await checkServers(mesh, statuses))]
  if (found.length > 0) return found
  serving.clear()
  for (const [name, { servingVersion }] of statuses) if (servingVersion) serving.set(name, servingVersion)
  return []
}

async function statusOf(mesh: TestMesh, name: ModelName): Promise<ModelStatus | undefined> {
  try {
    const { resource } = await mesh.admin.get('Model', name)
    return (resource as StoredModel).status ?? {}
  } catch (error) {
    if (error instanceof ServingError && error.code === 'MODEL_NOT_FOUND') return undefined
    throw error
  }
}

/** I4: what cannot be loaded leaves the version before it serving. */
function checkStatus(
  name: ModelName,
  status: ModelStatus | undefined,
  wanted: ExpectedModel | undefined,
  servedBefore: number | undefined,
): string[] {
  if (wanted === undefined) return status === undefined ? [] : ['was deleted, and is there']
  if (status === undefined) return ['was applied, and is not there']
  const problems: string[] = []
  const { state, reason, version, servingVersion, availableReplicas, versions = [] } = status
  const told = `${state ?? ''} ${reason ?? ''} version ${String(version)} serving ${String(servingVersion)}`
  if (wanted.artifact === 'refused') {
    if (servedBefore !== undefined && servingVersion !== servedBefore) problems.push(`another version serves: ${told}`)
    return problems
  }
  if (state !== 'ModelAvailable' || servingVersion !== version) problems.push(`not available: ${told}`)
  if (availableReplicas !== wanted.replicas) problems.push(`${String(availableReplicas)} replicas of ${name}: ${told}`)
  if (versions.length !== 1) problems.push(`${String(versions.length)} versions are left`)
  return problems
}

/** I2: what is said to be available answers, by the version that is said to serve. */
async function checkAnswers(mesh: TestMesh, statuses: ReadonlyMap<ModelName, ModelStatus>): Promise<string[]> {
  const rest = createRestSender(mesh.ingress)
  const grpc = createGrpcSender(mesh.ingress)
  const problems: string[] = []
  for (const { send } of [rest, grpc])
    for (const name of MODELS) {
      const version = statuses.get(name)?.servingVersion
      const { ok, status, servedBy, detail } = await send(name, REQUEST_DEADLINE_MS)
      const right = version === undefined ? !ok : ok && servedBy === `${name}_${String(version)}`
      if (!right) problems.push(`${name} version ${String(version)} answers ${status} ${servedBy} ${detail}`)
    }
  await rest.close()
  grpc.close()
  return problems
}

/** Each server has loaded what the statuses say, and nothing else (I3 ends in unloading). */
async function checkServers(mesh: TestMesh, statuses: ReadonlyMap<ModelName, ModelStatus>): Promise<string[]> {
  const problems: string[] = []
  for (const [index, { rest }] of mesh.ports.replicas.entries()) {
    const said = [...statuses].flatMap(([name, { versions = [] }]) =>
      versions
        .filter((version) =>
          version.replicas?.some((copy) => copy.replica === `embedded/${String(index)}` && LOADED.has(copy.state)),
        )
        .map((version) => `${name}_${String(version.version)}`),
    )
    const answer = await fetch(`http://127.0.0.1:${String(rest)}/v2/repository/index`, {
      method: 'POST',
      body: '{}',
      signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
    })
    const loaded = ((await answer.json()) as readonly { name: string; state: string }[])
      .filter((model) => model.state === 'READY')
      .map((model) => model.name)
    if (said.toSorted().join() !== loaded.toSorted().join())
      problems.push(`embedded-${String(index)} has ${loaded.join(', ')}; the scheduler says ${said.join(', ')}`)
  }
  return problems
}

const LOADED: ReadonlySet<string> = new Set(['Loaded', 'Available'])
