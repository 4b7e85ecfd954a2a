/**
 * One step of a pipeline towards what users asked. Pure, and harmless when repeated; called when the record changes, when a
 * gateway or a model that it waits for changes, at the start of a leadership and by the sweep.
 *
 * I1 it gets a route only when a version of it is loaded on every gateway that Envoy may choose.
 * I2 it is Ready only once its route is ACKed; the route stays as it is when the version changes.
 * I3 a deleted pipeline is unloaded only after its route's withdrawal is ACKed and the drain time has passed.
 * I4 a version that a gateway cannot load never changes what serves.
 * I5 all gateways switch together: a version serves when every gateway that takes requests has it.
 */
import type { ClusterView } from '../cluster.ts'
import { NEXT_COMMIT, type PipelineDocument } from '../documents.ts'
import type { DependentReconciliation } from '../reconcile/dependent.ts'
import { sameValue } from '../same-value.ts'
import { toPipelineEvents } from './events.ts'
import { cleansTopics, settlePipeline, wantedPipelineVersion } from './facts.ts'
import type { PipelineContext } from './gateways-view.ts'
import { toPipelineStatus } from './status.ts'

export function reconcilePipeline(
  pipeline: PipelineDocument,
  cluster: Pick<ClusterView, 'model' | 'pipeline'>,
  context: PipelineContext,
): DependentReconciliation<PipelineDocument> {
  const before = settlePipeline(pipeline)
  const acked = seeAck(before, context)
  const moved = acked.deleted ? withdraw(acked, context) : serve(acked, context)
  const after = { ...moved, status: toPipelineStatus(moved, cluster, context) }
  const wakeAtMs = wakeOf(after, context)
  return {
    document: sameValue(before, after) ? undefined : after,
    events: toPipelineEvents(before, after, context.nowMs),
    ...(wakeAtMs === undefined ? {} : { wakeAtMs }),
    remove: after.status.state === 'PipelineTerminated',
  }
}

/** I2: remembers that every counting Envoy has ACKed this route. */
function seeAck(pipeline: PipelineDocument, context: PipelineContext): PipelineDocument {
  const { route } = pipeline
  if (route === undefined || route.ackedAtMs !== undefined || route.sinceRevision === NEXT_COMMIT) return pipeline
  if (context.isAcked(route.sinceRevision) !== true) return pipeline // I2
  return { ...pipeline, route: { ...route, ackedAtMs: context.nowMs } }
}

/** The wanted version serves once every gateway that takes requests has it (I4, I5); the first one makes the route (I1). */
function serve(pipeline: PipelineDocument, { gateways }: PipelineContext): PipelineDocument {
  const { unloading: _, cleaning: __, ...alive } = pipeline // applied again while it was being deleted
  const wanted = wantedPipelineVersion(alive)
  if (alive.refused !== undefined || (alive.serving === wanted.version && alive.route !== undefined)) return alive
  const needed = gateways.needed()
  const isLoaded = needed.length > 0 && needed.every((name) => gateways.said(name, wanted.uid).kind === 'loaded')
  if (!isLoaded) return alive
  const { leaving: ___, ...routed } = alive // until now Envoy may have followed the route before (I3)
  return { ...routed, serving: wanted.version, route: alive.route ?? { sinceRevision: NEXT_COMMIT } }
}

/** Out of the routes first; then, ACKed and drained, out of the gateways (I3). */
function withdraw(pipeline: PipelineDocument, context: PipelineContext): PipelineDocument {
  const { route, leaving, ...rest } = pipeline
  if (route !== undefined) return { ...rest, leaving: { sinceRevision: NEXT_COMMIT, unloadAtMs: 0 } }
  if (leaving === undefined) return toCleaning(toUnloading(pipeline), context)
  const acked = leaving.sinceRevision !== NEXT_COMMIT && context.isAcked(leaving.sinceRevision)
  if (acked === false) return pipeline // I3
  if (leaving.unloadAtMs === 0) {
    const drainMs = acked === 'no-node' ? context.noNodeDrainTimeMs : context.drainTimeMs
    return { ...pipeline, leaving: { ...leaving, unloadAtMs: context.nowMs + drainMs } }
  }
  return context.nowMs < leaving.unloadAtMs ? pipeline : toUnloading(rest)
}

function toUnloading(pipeline: PipelineDocument): PipelineDocument {
  const { serving: _, ...rest } = pipeline
  return { ...rest, unloading: true }
}

/** Its topics go when every gateway that is here has let it go: then nobody records any more, and nothing makes them anew. */
function toCleaning(pipeline: PipelineDocument, { gateways }: PipelineContext): PipelineDocument {
  if (pipeline.cleaning === true || !cleansTopics(pipeline)) return pipeline
  const unloads = gateways.unloads(pipeline.name, 'unload')
  const areAllOut = unloads.length > 0 && unloads.every(({ kind }) => kind === 'unloaded')
  return areAllOut ? { ...pipeline, cleaning: true } : pipeline
}

function wakeOf({ leaving }: PipelineDocument, { nowMs }: PipelineContext): number | undefined {
  return leaving !== undefined && leaving.unloadAtMs > nowMs ? leaving.unloadAtMs : undefined
}
