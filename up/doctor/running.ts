/** What a running Millrace says of itself: scheduler, Redis, agents, Envoys, clock. */
import type { StoredServer } from '../../api/resources/status.ts'
import type { AdminClient } from '../../cli/client/admin-client.ts'
import { toServingError } from '../../kit/errors.ts'
import { type Finding, ok, warning, wrong } from './finding.ts'
import type { RedisSettings } from './redis-settings.ts'

/** The body of the scheduler's `/readyz`. */
export interface SchedulerSays {
  readonly status: string
  readonly role?: string
  readonly leader?: string
  readonly revision?: number
  readonly awaited?: readonly string[]
  readonly nodes?: readonly {
    readonly node: string
    readonly ackedRevision: number
    readonly silent: boolean
    readonly heldBecause?: string
  }[]
}

export interface SchedulerAnswer {
  readonly says: SchedulerSays
  /** Its clock, from the answer's `date` header, and ours in the middle of the call. */
  readonly clockMs: number
  readonly ourClockMs: number
}

export function schedulerFindings({ says, clockMs, ourClockMs }: SchedulerAnswer): readonly Finding[] {
  return [schedulerFinding(says), clockFinding(clockMs, ourClockMs), ...nodeFindings(says)]
}

function schedulerFinding({ status, role = 'no role', leader, revision, awaited = [] }: SchedulerSays): Finding {
  if (status !== 'ready') return wrong('scheduler', `it is ${status}`, 'see `millrace logs scheduler`')
  const found = `${role}${leader === undefined ? '' : ` ${leader}`}, at revision ${String(revision ?? 0)}`
  return awaited.length === 0
    ? ok('scheduler', found)
    : warning(
        'scheduler',
        `${found}; waits for ${awaited.join(', ')}`,
        'start them, or lower spec.replicas of the server',
      )
}

/** The header counts whole seconds. */
const CLOCK_TOLERANCE_MS = 2_000

function clockFinding(theirsMs: number, oursMs: number): Finding {
  const apartMs = Math.abs(theirsMs - oursMs)
  if (Number.isNaN(apartMs) || apartMs <= CLOCK_TOLERANCE_MS) return ok('clock', "agrees with the scheduler's")
  const seconds = Math.round(apartMs / 1_000)
  return warning('clock', `${String(seconds)} s apart from the scheduler's`, 'let both machines follow a time server')
}

function nodeFindings({ nodes = [], revision = 0, role }: SchedulerSays): readonly Finding[] {
  if (nodes.length === 0)
    return role === 'leading'
      ? [wrong('envoy config', 'no Envoy is connected to the scheduler', 'start one, or see `millrace logs envoy`')]
      : []
  return nodes.map(({ node, ackedRevision, silent, heldBecause }) => {
    if (heldBecause !== undefined)
      return wrong(
        'envoy config',
        `${node} is sent nothing: ${heldBecause}`,
        'apply the models that it has, or start the scheduler with --force',
      )
    if (silent)
      return wrong(
        'envoy config',
        `${node} is connected and silent`,
        `see \`millrace logs ${node}\`, or start it again`,
      )
    const found = `${node} has ACKed revision ${String(ackedRevision)} of ${String(revision)}`
    return ackedRevision >= revision
      ? ok('envoy config', found)
      : warning('envoy config', found, 'look again; when it stays so, see `millrace logs scheduler` for refusals')
  })
}

/** `ready`: what Envoy's metrics process says of it, as `{ ready, reason }`. */
export const envoyFinding = ({ ready, reason }: { readonly ready: boolean; readonly reason: string }): Finding =>
  ready
    ? ok('envoy', 'serves its routes')
    : wrong('envoy', reason, 'see `millrace logs envoy` and `millrace logs scheduler`')

/** The body of a pipeline gateway's `/readyz`. */
export interface GatewaySays {
  readonly ready?: boolean
  readonly connected?: boolean
  readonly pipelines?: number
  readonly journal?: { readonly kind?: string; readonly available?: boolean; readonly remark?: string }
}

export function gatewayFinding({ ready, connected, pipelines = 0, journal }: GatewaySays): Finding {
  const check = 'pipeline gateway'
  const log = 'see `millrace logs pipeline-gateway`'
  if (ready !== true) return warning(check, 'it is stopping', log)
  if (connected !== true) return warning(check, 'it has lost the scheduler and serves what it last had', log)
  if (journal?.kind === 'kafka' && journal.available !== true)
    return wrong(check, 'it cannot reach Kafka', `${log}; check the broker`)
  const kept = journal?.kind === 'kafka' ? `records in Kafka ${journal.remark ?? ''}`.trim() : 'records nothing'
  return ok(check, `${String(pipelines)} pipeline version${pipelines === 1 ? '' : 's'}, ${kept}`)
}

/** Those who read from Kafka, and what. */
const READERS = { engine: 'pipeline', 'model gateway': 'model' } as const
export type ReaderKind = keyof typeof READERS

/** The body of the `/readyz` of an engine or a model gateway. */
export interface ReaderSays {
  readonly ready?: boolean
  readonly connected?: boolean
  readonly reading?: number
  readonly journal?: { readonly available?: boolean }
}

export function readerFinding(kind: ReaderKind, { ready, connected, reading = 0, journal }: ReaderSays): Finding {
  const log = `see \`millrace logs ${kind.replace(' ', '-')}\``
  if (ready !== true) return warning(kind, 'it is stopping', log)
  if (journal?.available !== true) return wrong(kind, 'it cannot reach Kafka', `${log}; check the broker`)
  if (connected !== true) return warning(kind, 'it has lost the scheduler and reads what it last had', log)
  return ok(kind, `reads ${String(reading)} ${READERS[kind]}${reading === 1 ? '' : 's'}`)
}

export function redisFindings({ policy, appendOnly, lastWriteOk }: RedisSettings): readonly Finding[] {
  const kept =
    policy === undefined
      ? warning(
          'redis policy',
          'Redis does not let its options be read',
          'make sure that maxmemory-policy is noeviction',
        )
      : policy === 'noeviction'
        ? ok('redis policy', policy)
        : wrong('redis policy', `${policy} may delete models`, 'run CONFIG SET maxmemory-policy noeviction')
  const durable = !lastWriteOk
    ? wrong('redis persistence', 'its last write to disk failed', "free space on Redis's disk, and see its log")
    : appendOnly === 'no'
      ? warning(
          'redis persistence',
          'appendonly is off',
          'run CONFIG SET appendonly yes, or what is acknowledged may be lost',
        )
      : ok('redis persistence', appendOnly === undefined ? 'its last write to disk succeeded' : 'appendonly is on')
  return [kept, durable]
}

export async function agentFindings(admin: Pick<AdminClient, 'list'>): Promise<readonly Finding[]> {
  try {
    const servers = (await admin.list('Server')) as readonly StoredServer[]
    if (servers.length === 0) return [wrong('agents', 'no server is known', 'start an agent and its model server')]
    return servers.map(serverFinding)
  } catch (error) {
    return [wrong('agents', toServingError(error).message, 'see `millrace logs scheduler`')]
  }
}

function serverFinding({ metadata, spec, status }: StoredServer): Finding {
  const replicas = status?.replicaStatuses ?? []
  const wanted = status?.replicas ?? spec.replicas ?? 1
  const check = `agents of ${metadata.name}`
  const bad = replicas.flatMap(({ replica, agent, health, reason }) => {
    if (agent !== 'connected') return [`${replica}'s agent is ${agent}`]
    return health === 'serving' ? [] : [`${replica} is ${health}${reason === undefined ? '' : ` (${reason})`}`]
  })
  const serving = replicas.length - bad.length
  const found = [`${String(serving)} of ${String(wanted)} replicas connected and serving`, ...bad].join(', ')
  return bad.length === 0 && serving >= wanted
    ? ok(check, found)
    : wrong(check, found, `see \`millrace logs agent\` and \`millrace logs ${metadata.name}\``)
}
