/**
 * Wake-ups that must survive: "reconcile this then" (a retry, the end of a drain, of a grace). Jobs are hints: doing
 * one twice is harmless, losing all of them costs the time until the next sweep, so nothing here is fenced.
 */
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { WakeUp } from '../loop/reconciler.ts'

const QUEUE = 'wake-ups' // no ":" in names and ids: BullMQ builds keys with it
const LOCK_MS = 5_000
const CONCURRENCY = 50
/** Added to every wake-up, so that many of the same moment do not come at once. */
const MAX_JITTER_MS = 100

export interface WakeUpsDeps {
  readonly redisUrl: string
  readonly prefix: string
  readonly onDue: (key: string) => void
  readonly now: () => number
  readonly log: Logger
}

export interface WakeUps extends Running {
  readonly schedule: (wakeUps: readonly WakeUp[]) => void
}

interface WakeUpJob {
  readonly key: string
}

export function startWakeUps(deps: WakeUpsDeps): WakeUps {
  const { prefix, now, log } = deps
  // Waits out an outage; what is to be added meanwhile waits in `pending`, once per key.
  const redis = new Redis(deps.redisUrl, { maxRetriesPerRequest: null })
  const queue = new Queue<WakeUpJob>(QUEUE, {
    prefix,
    connection: redis,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  })
  const scheduled = new Map<string, number>()
  const worker = new Worker<WakeUpJob>(
    QUEUE,
    (job) => {
      scheduled.delete(job.data.key)
      deps.onDue(job.data.key)
      return Promise.resolve()
    },
    { prefix, connection: redis, concurrency: CONCURRENCY, lockDuration: LOCK_MS, stalledInterval: LOCK_MS },
  )
  let pending = new Map<string, number>()
  let adding: Promise<void> | undefined
  let stopping = false
  const onError = (error: Error): void => {
    log.debug({ error: error.message }, 'wake-ups cannot reach redis')
  }
  redis.on('error', onError)
  queue.on('error', onError)
  worker.on('error', onError)

  async function addPending(): Promise<void> {
    while (pending.size > 0 && !stopping) {
      const taken = pending
      pending = new Map()
      try {
        await queue.addBulk([...taken].map(([key, atMs]) => toJob(key, atMs - now())))
      } catch (error) {
        for (const key of taken.keys()) scheduled.delete(key)
        if (stopping) return
        log.warn({ error: toServingError(error).message, count: taken.size }, 'wake-ups left to the sweep')
      }
    }
  }

  return {
    schedule: (wakeUps) => {
      // A time that has passed is asked for again: its job may be lost.
      const fresh = wakeUps.filter(({ key, atMs }) => scheduled.get(key) !== atMs || atMs <= now())
      for (const { key, atMs } of fresh) {
        scheduled.set(key, atMs)
        pending.set(key, atMs)
      }
      adding ??= addPending().finally(() => {
        adding = undefined
      })
    },
    stop: async () => {
      stopping = true
      await Promise.allSettled([worker.close(true), queue.close()])
      redis.disconnect()
      await adding
    },
  }
}

function toJob(key: string, delayMs: number) {
  return {
    name: 'reconcile',
    data: { key },
    opts: {
      delay: Math.round(Math.max(0, delayMs) + Math.random() * MAX_JITTER_MS),
      // The newest time counts; one that comes while its twin runs is kept.
      deduplication: { id: key, replace: true, keepLastIfActive: true },
    },
  }
}
