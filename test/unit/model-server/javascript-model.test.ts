import { expect, it } from 'vitest'
import { ServingError } from '../../../kit/errors.ts'
import { type Logger, silentLogger } from '../../../kit/log.ts'
import { startJavascriptModel } from '../../../model-server/runtimes/javascript-model.ts'
import type { JavascriptThread, JavascriptThreadDeps } from '../../../model-server/runtimes/javascript-thread.ts'

type Start = (deps: Pick<JavascriptThreadDeps, 'signal' | 'onEnd'>, time: number) => Promise<JavascriptThread>

const failure = (message: string) => new ServingError('INFERENCE_FAILED', message)
const answering: JavascriptThread = { infer: () => Promise.resolve([]) }
const neverAborted = new AbortController().signal

/** A model on threads of ours; every pause before a new thread is kept. */
async function startModel(start: Start) {
  const pausesMs: number[] = []
  const warn: Logger['warn'] = (fields) => pausesMs.push((fields as { restartInMs: number }).restartInMs)
  let starts = 0
  const model = await startJavascriptModel({
    name: 'm_1',
    log: { ...silentLogger, warn },
    start: (deps) => {
      starts += 1
      return start(deps, starts)
    },
  })
  return { model, pausesMs, starts: () => starts, infer: (signal = neverAborted) => model.infer([], [], signal) }
}

/** A thread that can be loaded once, and then never again. */
const onlyOnce =
  (end: (die: () => void) => void): Start =>
  async ({ onEnd }, time) => {
    const why = failure(`end ${String(time)}`)
    await Promise.resolve()
    if (time > 1) {
      onEnd(why)
      throw why
    }
    end(() => {
      onEnd(why)
    })
    return answering
  }

it('a model that cannot be loaded again is tried after growing pauses, until it is closed', async () => {
  let die = (): void => undefined
  const { model, pausesMs, starts, infer } = await startModel(
    onlyOnce((now) => {
      die = now
    }),
  )
  die()
  await expect(infer()).rejects.toMatchObject({ code: 'MODEL_RESTARTING' })
  await expect.poll(() => pausesMs.length).toBeGreaterThanOrEqual(5)
  expect(pausesMs[0]).toBe(0)
  for (const [index, pauseMs] of pausesMs.slice(1, 5).entries()) {
    expect(pauseMs).toBeGreaterThanOrEqual(50 * 2 ** index)
    expect(pauseMs).toBeLessThanOrEqual(100 * 2 ** index)
  }
  await expect(infer()).rejects.toThrow(/model m_1 is started again within \d+ ms; it ended because: end \d$/)
  model.close()
  const before = starts()
  await new Promise((resolve) => setImmediate(resolve))
  expect(starts()).toBe(before)
})

it('a model that is not loaded the first time is not tried again', async () => {
  let starts = 0
  const started = startModel(({ onEnd }) => {
    starts += 1
    onEnd(failure('broken'))
    return Promise.reject(failure('broken'))
  })
  await expect(started).rejects.toThrow('broken')
  expect(starts).toBe(1)
})

it('calls come one after the other, and one whose caller went away while it waited is left out', async () => {
  const begun: number[] = []
  const finish: (() => void)[] = []
  const { infer } = await startModel(() =>
    Promise.resolve({
      infer: async () => {
        begun.push(begun.length + 1)
        await new Promise<void>((resolve) => finish.push(resolve))
        return []
      },
    }),
  )
  const gone = new AbortController()
  const calls = [infer(), infer(gone.signal), infer()]
  await expect.poll(() => begun).toEqual([1])
  gone.abort()
  await expect(calls[1]).rejects.toMatchObject({ code: 'CANCELLED' })
  finish.shift()?.()
  expect(await calls[0]).toEqual([])
  await expect.poll(() => begun).toEqual([1, 2])
  finish.shift()?.()
  expect(await calls[2]).toEqual([])
  expect(begun).toEqual([1, 2])
})

it('an end and the call that it fails do not meet the call behind it', async () => {
  const { infer, starts } = await startModel(({ onEnd }, time) =>
    Promise.resolve({
      infer: () => {
        if (time > 1) return Promise.resolve([])
        const why = failure('the first thread ended')
        onEnd(why)
        return Promise.reject(why)
      },
    }),
  )
  const [first, second] = await Promise.allSettled([infer(), infer()])
  expect(first).toMatchObject({ status: 'rejected', reason: { message: 'the first thread ended' } })
  expect(second).toEqual({ status: 'fulfilled', value: [] })
  expect(starts()).toBe(2)
})
