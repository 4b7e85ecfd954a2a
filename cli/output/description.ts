/** `describe` for people: a resource as sections of lines. */
import { stringify } from 'yaml'
import { warningsOf } from '../../api/resources/resource.ts'
import type {
  ModelStatus,
  ServerReplicaStatus,
  StoredResource,
  StoredServer,
  VersionStatus,
} from '../../api/resources/status.ts'
import type { ResourceEvent } from '../../api/resources/status.ts'
import { formatAge } from '../duration.ts'
import type { Terminal } from '../terminal.ts'
import { formatBytes } from './format.ts'
import { decisionTable, experimentTargetTable, pipelineVersionTable, rolloutLines } from './dependent-description.ts'
import { ageText, createdAt, versionText } from './model-table.ts'
import { modelsText, runnerText } from './pipeline-table.ts'
import { stateColour } from './state.ts'
import { type Column, toTable } from './table.ts'

type Lines = readonly string[]

export function descriptionOf(
  resource: StoredResource,
  events: readonly ResourceEvent[],
  terminal: Terminal,
  nowMs: number,
): Lines {
  const spec = stringify(resource.spec).trimEnd().split('\n')
  return [
    ...headOf(resource, terminal, nowMs),
    ...section(terminal, 'Spec', spec),
    ...section(terminal, 'Warnings', warningsOf(resource)),
    ...sectionsOf(resource, terminal),
    ...section(terminal, 'Events', eventTable(events, nowMs)),
  ]
}

function sectionsOf(resource: StoredResource, terminal: Terminal): Lines {
  switch (resource.kind) {
    case 'Model':
      return modelSections(resource.status ?? {}, terminal)
    case 'Server':
      return section(terminal, 'Replicas', replicaTable(resource))
    case 'Pipeline':
      return section(terminal, 'Versions (millrace rollback)', pipelineVersionTable(resource))
    case 'Experiment':
      return [
        ...section(terminal, 'Candidates', experimentTargetTable(resource)),
        ...section(terminal, 'Rollout', rolloutLines(resource)),
        ...section(terminal, 'Decisions', decisionTable(resource)),
      ]
  }
}

function headOf(resource: StoredResource, terminal: Terminal, nowMs: number): Lines {
  const { kind, metadata, status } = resource
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Name', metadata.name],
    ['Kind', kind],
    [
      'Labels',
      metadata.labels &&
        Object.entries(metadata.labels)
          .map((label) => label.join('='))
          .join(', '),
    ],
    ['Age', ageText(createdAt(resource), nowMs)],
    ['State', terminal.paint(stateColour(status?.state), status?.state ?? 'Unknown')],
    ['Reason', status?.reason],
    ['Replicas', replicasText(resource)],
    ['Models', resource.kind === 'Pipeline' ? `${modelsText(resource)} available` : undefined],
    ['Runner', resource.kind === 'Pipeline' ? runnerText(resource) : undefined],
    ['Version', resource.kind === 'Model' || resource.kind === 'Pipeline' ? versionText(resource) : undefined],
    ['Server', resource.kind === 'Model' ? resource.status?.server : undefined],
    ['Lag', lagText(resource)],
  ]
  const shown = facts.filter((fact): fact is readonly [string, string] => Boolean(fact[1]))
  return shown.map(([label, value]) => `${`${label}:`.padEnd(LABEL_WIDTH)}${value}`)
}
const LABEL_WIDTH = 11

function replicasText(resource: StoredResource): string | undefined {
  if (resource.kind !== 'Model' && resource.kind !== 'Server') return undefined
  const { status, spec } = resource
  return `${String(status?.availableReplicas ?? 0)} of ${String(status?.replicas ?? spec.replicas ?? 1)} available`
}

function lagText(resource: StoredResource): string | undefined {
  if (resource.kind !== 'Model' && resource.kind !== 'Pipeline') return undefined
  const lag = resource.status?.lagRecords
  return lag === undefined ? undefined : `${String(lag)} records in Kafka are not done`
}

function section(terminal: Terminal, title: string, lines: Lines): Lines {
  return lines.length === 0 ? [] : ['', terminal.paint('bold', `${title}:`), ...lines.map((line) => `  ${line}`)]
}

function modelSections(status: ModelStatus, terminal: Terminal): Lines {
  const { versions = [], placement } = status
  const earlier = (status.history ?? []).filter(({ version }) => version !== status.version)
  const refused = placement === undefined ? [] : [placement.reason, ...toTable(REFUSAL_COLUMNS, placement.servers)]
  return [
    ...section(
      terminal,
      'Versions',
      versions.length === 0 ? [] : toTable(VERSION_COLUMNS, versions.flatMap(versionRows)),
    ),
    ...section(terminal, 'Placement', refused),
    ...section(terminal, 'History (millrace rollback)', earlier.length === 0 ? [] : toTable(HISTORY_COLUMNS, earlier)),
  ]
}

interface VersionRow {
  readonly version?: VersionStatus
  readonly replica: string
  readonly state: string
  readonly reason: string
}

/** A line for the version, then one for each of its replicas. */
function versionRows(version: VersionStatus): readonly VersionRow[] {
  const replicas = (version.replicas ?? []).map(({ replica, state, reason = '' }) => ({ replica, state, reason }))
  return [{ version, replica: '', state: version.state, reason: version.reason ?? '' }, ...replicas]
}

/** An empty cell would be shown as "-", nothing known; this one has nothing to say. */
const BLANK = ' '

const VERSION_COLUMNS: readonly Column<VersionRow>[] = [
  { title: 'VERSION', cell: ({ version }) => (version === undefined ? BLANK : String(version.version)) },
  { title: 'SERVER', cell: ({ version }) => (version === undefined ? BLANK : (version.server ?? '')) },
  {
    title: 'MEMORY',
    cell: ({ version }) =>
      version === undefined ? BLANK : version.memoryBytes === undefined ? '' : formatBytes(version.memoryBytes),
  },
  { title: 'REPLICA', cell: ({ version, replica }) => (version === undefined ? replica : BLANK) },
  { title: 'STATE', cell: ({ state }) => state },
  { title: 'REASON', cell: ({ reason }) => reason },
]

const REFUSAL_COLUMNS: readonly Column<NonNullable<ModelStatus['placement']>['servers'][number]>[] = [
  { title: 'SERVER', cell: ({ server }) => server },
  { title: 'REFUSED BY', cell: ({ filter }) => filter },
  { title: 'DETAIL', cell: ({ detail }) => detail },
]

const HISTORY_COLUMNS: readonly Column<NonNullable<ModelStatus['history']>[number]>[] = [
  { title: 'VERSION', cell: ({ version }) => String(version) },
  { title: 'APPLIED', cell: ({ at }) => at ?? '' },
  { title: 'STORAGE URI', cell: ({ storageUri }) => storageUri },
]

const SERVER_REPLICA_COLUMNS: readonly Column<ServerReplicaStatus>[] = [
  { title: 'REPLICA', cell: ({ replica }) => replica },
  { title: 'HEALTH', cell: ({ health, draining }) => (draining ? `${health}, draining` : health) },
  { title: 'AGENT', cell: ({ agent }) => agent },
  { title: 'ADDRESS', cell: ({ address, restPort, grpcPort }) => `${address}:${String(restPort)},${String(grpcPort)}` },
  {
    title: 'FREE MEMORY',
    cell: ({ availableMemoryBytes, memoryBytes }) =>
      `${formatBytes(availableMemoryBytes)} of ${formatBytes(memoryBytes)}`,
  },
  { title: 'MODELS', cell: ({ loadedModels }) => String(loadedModels) },
  { title: 'CAPABILITIES', cell: ({ capabilities }) => capabilities.join(',') },
  { title: 'REASON', cell: ({ reason }) => reason ?? '' },
]

const replicaTable = ({ status }: StoredServer): Lines =>
  status?.replicaStatuses === undefined || status.replicaStatuses.length === 0
    ? []
    : toTable(SERVER_REPLICA_COLUMNS, status.replicaStatuses)

function eventTable(events: readonly ResourceEvent[], nowMs: number): Lines {
  const columns: readonly Column<ResourceEvent>[] = [
    { title: 'AGE', cell: ({ atMs }) => formatAge(nowMs - atMs) },
    { title: 'TYPE', cell: ({ type }) => type },
    { title: 'REASON', cell: ({ reason }) => reason },
    { title: 'MESSAGE', cell: ({ message }) => message },
  ]
  return events.length === 0 ? [] : toTable(columns, events)
}
