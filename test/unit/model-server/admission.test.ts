import { describe, expect, it } from 'vitest'
import { createAdmission } from '../../../model-server/admission.ts'

const forever = new AbortController().signal

/** Work that ends when told to. */
const controlled = () => {
  let finish: (value: string) => void = () => undefined
  let begun = false
  const done = new Promise<string>((resolve) => {
    finish = resolve
  })
  return {
    work: () => {
      begun = true
      return done
    },
    finish: (value: string) => {
      finish(value)
    },
    hasBegun: () => begun,
  }
}
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('admission', () => {
  it('runs as many as it may, the next when one ends, in the order of their coming', async () => {
    const admission = createAdmission({ concurrent: 1, queued: 2 }, 'm')
    const [a, b, c] = [controlled(), controlled(), controlled()]
    const results = [a, b, c].map((call) => admission.run(forever, call.work))
    await settled()
    expect([a, b, c].map((call) => call.hasBegun())).toEqual([true, false, false])
    a.finish('a')
    await settled()
    expect([a, b, c].map((call) => call.hasBegun())).toEqual([true, true, false])
    b.finish('b')
    c.finish('c')
    expect(await Promise.all(results)).toEqual(['a', 'b', 'c'])
  })

  it('refuses what neither runs nor fits the queue', async () => {
    const admission = createAdmission({ concurrent: 1, queued: 0 }, 'model m')
    const first = controlled()
    const result = admission.run(forever, first.work)
    await expect(admission.run(forever, first.work)).rejects.toMatchObject({
      code: 'SERVER_OVERLOADED',
      message: 'model m already has 1 requests running and 0 waiting',
    })
    first.finish('x')
    await result
    expect(await admission.run(forever, () => Promise.resolve('y'))).toBe('y')
  })

  it('gives the place of a failed call on', async () => {
    const admission = createAdmission({ concurrent: 1, queued: 0 }, 'm')
    await expect(admission.run(forever, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await admission.run(forever, () => Promise.resolve('y'))).toBe('y')
  })

  it('never begins a call whose caller went away while it waited, and frees its place in the queue', async () => {
    const admission = createAdmission({ concurrent: 1, queued: 1 }, 'm')
    const [running, waiting, next] = [controlled(), controlled(), controlled()]
    const gone = new AbortController()
    const first = admission.run(forever, running.work)
    const second = admission.run(gone.signal, waiting.work)
    gone.abort()
    await expect(second).rejects.toMatchObject({ code: 'CANCELLED' })
    const third = admission.run(forever, next.work)
    running.finish('1')
    next.finish('3')
    expect(await Promise.all([first, third])).toEqual(['1', '3'])
    expect(waiting.hasBegun()).toBe(false)
  })

  it('answers a caller that went away at once, but keeps its place until the work ends', async () => {
    const admission = createAdmission({ concurrent: 1, queued: 0 }, 'm')
    const running = controlled()
    const gone = new AbortController()
    const first = admission.run(gone.signal, running.work)
    await settled()
    gone.abort()
    await expect(first).rejects.toMatchObject({ code: 'CANCELLED' })
    await expect(admission.run(forever, running.work)).rejects.toMatchObject({ code: 'SERVER_OVERLOADED' })
    running.finish('late')
    await settled()
    expect(await admission.run(forever, () => Promise.resolve('y'))).toBe('y')
  })

  it('begins nothing for a caller that has gone already', async () => {
    const call = controlled()
    const admission = createAdmission({ concurrent: 1, queued: 0 }, 'm')
    await expect(admission.run(AbortSignal.abort(), call.work)).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(call.hasBegun()).toBe(false)
  })

  it('is idle when nothing runs or waits', async () => {
    const admission = createAdmission({ concurrent: 1, queued: 1 }, 'm')
    await admission.idle()
    const [a, b] = [controlled(), controlled()]
    const results = [admission.run(forever, a.work), admission.run(forever, b.work)]
    let idle = false
    const whenIdle = admission.idle().then(() => {
      idle = true
    })
    a.finish('a')
    await settled()
    expect(idle).toBe(false)
    b.finish('b')
    await Promise.all([...results, whenIdle])
    expect(idle).toBe(true)
  })
})
