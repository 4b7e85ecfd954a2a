import type { IrIssue } from '../ir/issue.ts'
import type { ChangeIr } from '../ir/types.ts'
import { validateChange } from '../ir/validate.ts'
import { setIdsOf } from './route-content.ts'
import type { ShardTable } from './shard-table.ts'

interface Standing {
  readonly hasSet: (id: string) => boolean
  readonly routes: Pick<ShardTable, 'route' | 'references'>
}

/**
 * Refuses a change that is wrong in itself or does not fit what stands: every route must name sets that exist, and no set may go while a route names it.
 * `mirrored` is the change with what mirrors make of it. @throws Error listing every issue
 */
export function checkChange(change: ChangeIr, mirrored: ChangeIr, standing: Standing): void {
  const issues = [...validateChange(change), ...missingSets(mirrored, standing), ...setsInUse(mirrored, standing)]
  if (issues.length === 0) return
  const lines = issues.map((issue) => `${issue.path}: ${issue.message}`)
  throw new Error(`routing change ${String(change.revision)} is refused: ${lines.join('; ')}`)
}

function missingSets(change: ChangeIr, { hasSet }: Standing): IrIssue[] {
  const given = new Set(change.upsertEndpointSets.map((set) => set.id))
  return change.upsertRoutes.flatMap((route) =>
    setIdsOf(route)
      .filter((id) => !given.has(id) && !hasSet(id))
      .map((id) => ({ path: `upsertRoutes[${route.target}]`, message: `endpoint set "${id}" does not exist` })),
  )
}

function setsInUse(change: ChangeIr, { routes }: Standing): IrIssue[] {
  if (change.removeEndpointSetIds.length === 0) return []
  const difference = new Map<string, number>()
  const add = (ids: Iterable<string>, by: number): void => {
    for (const id of new Set(ids)) difference.set(id, (difference.get(id) ?? 0) + by)
  }
  for (const target of change.removeTargets) add(routes.route(target)?.endpointSetIds ?? [], -1)
  for (const route of change.upsertRoutes) {
    add(routes.route(route.target)?.endpointSetIds ?? [], -1)
    add(setIdsOf(route), 1)
  }
  return change.removeEndpointSetIds
    .filter((id) => routes.references(id) + (difference.get(id) ?? 0) > 0)
    .map((id) => ({ path: 'removeEndpointSetIds', message: `endpoint set "${id}" is still named by routes` }))
}
