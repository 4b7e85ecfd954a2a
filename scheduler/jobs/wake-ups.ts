/**
 * Wake-ups that must survive: "reconcile this model then" (a retry, the end of a drain, of a grace). Jobs are hints: doing
 * one twice is harmless, losing all of them costs the time until the next sweep, so nothing here is fenced.
 */
import { Queue, Worker } from 'bullmq'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { COMMAND_TIMEOUT_MS } from '../store/connection.ts'
import type { WakeUp } from '../loop/reconciler.ts'

const QUEUE = 'wake-ups' // no ":" in names and ids: BullMQ builds keys with it
const LOCK_MS = 5_000
const CONCURRENCY = 50
/** Added to every wake-up, so that many of the same moment do not come at once. */
const MAX_JITTER_MS = 100

export interface WakeUpsDeps {
  readonly redisUrl: string
  readonly prefix: string
  readonly onDue: (model: string) => void
  readonly now: () => number
  readonly log: Logger
}

export interface WakeUps extends Running {
  readonly schedule: (wakeUps: readonly WakeUp[]) => void
}

interface WakeUpJob {
  readonly model: string
}

export function startWakeUps(deps: WakeUpsDeps): WakeUps {
  const { redisUrl: url, prefix } = deps
  const queue = new Queue<WakeUpJob>(QUEUE, {
    prefix,
    connection: { url, enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: COMMAND_TIMEOUT_MS },
    skipWaitingForReady: true,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  })
  const scheduled = new Map<string, number>()
  const worker = new Worker<WakeUpJob>(
    QUEUE,
    (job) => {
      scheduled.delete(job.data.model)
      deps.onDue(job.data.model)
      return Promise.resolve()
    },
    {
      prefix,
      connection: { url, maxRetriesPerRequest: null },
      concurrency: CONCURRENCY,
      lockDuration: LOCK_MS,
      stalledInterval: LOCK_MS,
    },
  )
  const onError = (error: Error): void => {
    deps.log.debug({ error: error.message }, 'wake-ups cannot reach redis')
  }
  queue.on('error', onError)
  worker.on('error', onError)

  async function add(wakeUps: readonly WakeUp[]): Promise<void> {
    const now = deps.now()
    await queue.addBulk(
      wakeUps.map(({ model, atMs }) => ({
        name: 'reconcile',
        data: { model },
        opts: {
          delay: Math.max(0, atMs - now) + Math.random() * MAX_JITTER_MS,
          // The newest time counts; one that comes while its twin runs is kept.
          deduplication: { id: model, replace: true, keepLastIfActive: true },
        },
      })),
    )
  }

  return {
    schedule: (wakeUps) => {
      const now = deps.now()
      // A time that has passed is asked for again: its job may be lost.
      const fresh = wakeUps.filter(({ model, atMs }) => scheduled.get(model) !== atMs || atMs <= now)
      if (fresh.length === 0) return
      for (const { model, atMs } of fresh) scheduled.set(model, atMs)
      add(fresh).catch((error: unknown) => {
        for (const { model } of fresh) scheduled.delete(model)
        deps.log.warn({ error: toServingError(error).message, models: fresh.length }, 'wake-ups left to the sweep')
      })
    },
    stop: async () => {
      await Promise.allSettled([worker.close(true), queue.close()])
    },
  }
}
