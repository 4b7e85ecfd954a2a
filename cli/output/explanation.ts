/** An explanation for people. Pure. */
import type { ExplainedExperiment } from '../explain/admission.ts'
import type { ExplainedCandidate, Explanation } from '../explain/explanation.ts'
import type { ServedDestination } from '../explain/route-source.ts'
import type { Terminal } from '../terminal.ts'

const LABEL_WIDTH = 10

export function explanationLines(explanation: Explanation, terminal: Pick<Terminal, 'paint'>): readonly string[] {
  const { request, verdict, reply, target, removedHeaders, candidates, experiment, source } = explanation
  const isSplit = experiment !== undefined
  const status = reply?.grpcStatus === undefined ? String(reply?.httpStatus) : `gRPC status ${String(reply.grpcStatus)}`
  return [
    line('Request', request),
    line('Verdict', terminal.paint(verdict === 'routed' || verdict === 'answered' ? 'green' : 'red', verdict)),
    ...(reply === undefined ? [] : [line('Answer', [status, reply.message].filter((part) => part !== '').join(': '))]),
    ...(target === undefined
      ? []
      : [line('Target', isShared(candidates) ? `${target}, split over ${names(candidates)}` : target)]),
    ...(experiment === undefined ? [] : experimentLines(experiment, candidates)),
    ...(removedHeaders.length === 0
      ? []
      : [line('Removed', `${removedHeaders.join(', ')}: only Millrace sets these headers`)]),
    ...candidates.flatMap((candidate) => candidateLines(candidate, isSplit)),
    line('Read from', source),
  ]
}

const isShared = (candidates: readonly ExplainedCandidate[]): boolean => candidates.length > 1

const experimentLines = (
  { name, reason, isMirrored }: ExplainedExperiment,
  candidates: readonly ExplainedCandidate[],
): readonly string[] => [
  line('Split by', `experiment ${name}`),
  line('Why', reason),
  ...(isMirrored ? mirrorLines(candidates) : []),
]

/** The same for every candidate; those that have no route copy nothing. */
function mirrorLines(candidates: readonly ExplainedCandidate[]): readonly string[] {
  const found = candidates.flatMap(({ route }) => (route.kind === 'destinations' ? (route.copies ?? []) : []))
  if (found.length === 0) return [line('Mirror', 'a share of these requests is copied to the mirror of the experiment')]
  return [
    ...new Set(
      found.map(({ internalName, cluster, percent: share }) =>
        line('Mirror', `${internalName}, copies of ${String(share)} % of these requests, by ${cluster}`),
      ),
    ),
  ]
}

const line = (label: string, text: string): string => `${`${label}:`.padEnd(LABEL_WIDTH)} ${text}`
const names = (candidates: readonly ExplainedCandidate[]): string => candidates.map(({ target }) => target).join(', ')
const percent = (share: number): string => `${String(Math.round(share * 10) / 10)} %`

function candidateLines({ target, weightPercent, shard, route, model }: ExplainedCandidate, isSplit: boolean) {
  const head = isSplit ? ['', line('Candidate', `${target}, ${percent(weightPercent)}`)] : []
  const facts = [...head, line('Shard', String(shard)), ...(model === undefined ? [] : [line('State', model)])]
  if (route.kind !== 'destinations') return facts
  return [...facts, ...route.destinations.flatMap((one) => destinationLines(one, route.destinations.length > 1))]
}

function destinationLines({ internalName, cluster, weightPercent, hosts }: ServedDestination, isShared: boolean) {
  const share = isShared ? `, ${percent(weightPercent)}` : ''
  const shown = hosts?.map(({ address, health }) => `${address} (${health})`)
  const none = hosts === undefined ? 'Envoy does not know this cluster' : 'none'
  return [
    ...(internalName === '' ? [] : [line('Model', `${internalName}${share}`)]),
    line('Cluster', cluster ?? 'only Envoy knows: give --envoy-admin'),
    line('Hosts', shown === undefined || shown.length === 0 ? none : shown.join(', ')),
  ]
}
