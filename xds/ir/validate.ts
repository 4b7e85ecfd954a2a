import type { IrIssue } from './issue.ts'
import type { ChangeIr, EndpointIr, EndpointSetIr, RouteIr } from './types.ts'
import { splitIssues } from './validate-split.ts'
import { weightIssues } from './validate-weights.ts'

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,73}$/
const SET_ID = /^[\x21-\x7e]{1,200}$/
const HEADER_VALUE = /^[\x20-\x7e]*$/
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}$/
const IPV6 = /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/
const RESERVED = new Set(['_', '_ready'])

/** Everything that is wrong with a change by itself; what it refers to is checked against the state when it is applied. */
export function validateChange(change: ChangeIr): readonly IrIssue[] {
  return [
    ...change.upsertEndpointSets.flatMap((set, index) => setIssues(set, `upsertEndpointSets[${String(index)}]`)),
    ...change.upsertRoutes.flatMap((route, index) => routeIssues(route, `upsertRoutes[${String(index)}]`)),
    ...(change.splits ?? []).flatMap((split, index) => splitIssues(split, `splits[${String(index)}]`)),
    ...duplicates([...change.upsertRoutes.map((route) => route.target), ...change.removeTargets], 'target'),
    ...duplicates(
      (change.splits ?? []).map((split) => split.target),
      'split',
    ),
    ...duplicates([...change.upsertEndpointSets.map((set) => set.id), ...change.removeEndpointSetIds], 'endpoint set'),
  ]
}

function setIssues(set: EndpointSetIr, path: string): IrIssue[] {
  const issues = set.endpoints.flatMap((endpoint, index) =>
    endpointIssues(endpoint, `${path}.endpoints[${String(index)}]`),
  )
  if (!SET_ID.test(set.id)) issues.push({ path: `${path}.id`, message: `"${set.id}" must be printable, 1 to 200 long` })
  return issues
}

function endpointIssues(endpoint: EndpointIr, path: string): IrIssue[] {
  const issues: IrIssue[] = []
  if (!IPV4.test(endpoint.address) && !IPV6.test(endpoint.address))
    issues.push({ path: `${path}.address`, message: `"${endpoint.address}" must be an IP address` })
  for (const key of ['restPort', 'grpcPort'] as const)
    if (!Number.isInteger(endpoint[key]) || endpoint[key] < 1 || endpoint[key] > 65_535)
      issues.push({ path: `${path}.${key}`, message: `${String(endpoint[key])} must be a port, 1 to 65535` })
  return issues
}

function routeIssues(route: RouteIr, path: string): IrIssue[] {
  const issues: IrIssue[] = []
  if (!NAME.test(route.target) || RESERVED.has(route.target))
    issues.push({ path: `${path}.target`, message: `"${route.target}" cannot be a target` })
  if (route.destinations.length === 0) issues.push({ path: `${path}.destinations`, message: 'must not be empty' })
  if (!Number.isInteger(route.timeoutMs) || route.timeoutMs < 0)
    issues.push({ path: `${path}.timeoutMs`, message: `${String(route.timeoutMs)} must be a whole number from 0` })
  for (const [index, destination] of route.destinations.entries())
    for (const key of ['internalName', 'routeToken'] as const)
      if (!HEADER_VALUE.test(destination[key]))
        issues.push({ path: `${path}.destinations[${String(index)}].${key}`, message: 'must be printable ASCII' })
  issues.push(...weightIssues(route.destinations, `${path}.destinations`))
  return issues
}

function duplicates(keys: readonly string[], what: string): IrIssue[] {
  const seen = new Set<string>()
  const repeated = keys.filter((key) => seen.size === seen.add(key).size)
  return repeated.map((key) => ({ path: '', message: `${what} "${key}" is named more than once in one change` }))
}
