/** Between the gateways' messages and documents. Pure. */
import { isIP } from 'node:net'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import { nameProblem } from '../../api/resources/rules.ts'
import { type Issue, issuesError } from '../../kit/errors.ts'
import { type GatewayDocument, SCHEMA_VERSION } from '../domain/documents.ts'

const MAX_PORT = 65_535

/** Who subscribes. @throws ServingError REQUEST_INVALID listing what is wrong. */
export function checkIntroduction(introduction: Introduction__Output, trustsTls: boolean): void {
  const { name, role } = introduction
  const problem = nameProblem(name)
  const issues: Issue[] = problem === undefined ? [] : [{ path: 'introduction.name', message: problem }]
  if (role === 'PIPELINE_GATEWAY') issues.push(...addressIssues(introduction, trustsTls))
  if (issues.length > 0) throw issuesError('REQUEST_INVALID', 'Introduction', issues)
}

/** Envoy must reach it. */
function addressIssues(
  { address, restPort, grpcPort, tls }: Introduction__Output,
  trustsTls: boolean,
): readonly Issue[] {
  const issues: Issue[] = []
  if (isIP(address) === 0)
    issues.push({ path: 'introduction.address', message: `${JSON.stringify(address)} is no IP address` })
  for (const [path, port] of [['rest_port', restPort] as const, ['grpc_port', grpcPort] as const])
    if (port < 1 || port > MAX_PORT) issues.push({ path: `introduction.${path}`, message: `${String(port)}: no port` })
  if (tls && !trustsTls)
    issues.push({
      path: 'introduction.tls',
      message: 'it speaks TLS, and Envoys could not check it: give --upstream-ca to every scheduler',
    })
  return issues
}

/** Its record once its stream is here. */
export function toGatewayDocument(
  introduction: Introduction__Output,
  before: GatewayDocument | undefined,
  ready: boolean,
): GatewayDocument {
  const { name, address, restPort, grpcPort, tls, hasJournal, journal } = introduction
  const unreplicated = journal === null ? before?.journalUnreplicated === true : journal.unreplicated
  return {
    schemaVersion: SCHEMA_VERSION,
    revision: before?.revision ?? 0,
    name,
    address,
    restPort,
    grpcPort,
    ...(tls ? { tls } : {}),
    hasJournal,
    ...(hasJournal && unreplicated ? { journalUnreplicated: true } : {}),
    stream: { kind: 'connected' },
    ready,
    draining: false,
  }
}
