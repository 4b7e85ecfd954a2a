import { afterEach, describe, expect, test } from 'vitest'
import { ServingError } from '../../../../kit/errors.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import type { CommitResult, Store, Write } from '../../../../scheduler/domain/store.ts'
import { startWriter, type Writer } from '../../../../scheduler/loop/writer.ts'
import { aModel, writeModel } from '../../../support/documents.ts'

const writers: Writer[] = []
afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.stop()
})

/** A store that answers as the test says, and a writer on it. */
function start(answers: (writes: readonly Write[], commit: number) => CommitResult | Promise<CommitResult>) {
  const cluster = createClusterState()
  const log: string[] = []
  let commits = 0
  const store: Pick<Store, 'commit'> = {
    commit: async (writes) => {
      commits += 1
      log.push(`commit ${writes.map((write) => (write.kind === 'event' ? 'event' : write.name)).join(' ')}`)
      return answers(writes, commits)
    },
  }
  const writer = startWriter({
    store: store as Store,
    cluster,
    fill: () => ({ done: () => undefined }),
    hasWork: () => false,
    onChanges: (changes, revision) => {
      log.push(`changed ${changes.map((change) => change.name).join(' ')} at ${String(revision)}`)
    },
    resync: () => {
      log.push('resync')
      return Promise.resolve()
    },
    onFenced: () => {
      log.push('fenced')
    },
    onCommit: () => undefined,
    log: silentLogger,
  })
  writers.push(writer)
  const create = (name: string) =>
    writer.submit({
      plan: (state) => {
        if (state.model(name) !== undefined) throw new ServingError('VERSION_CONFLICT', `${name} is there`)
        return { writes: [writeModel(aModel(name))], answer: name }
      },
      onCommitted: (answer) => {
        log.push(`told ${answer}`)
      },
    })
  return { writer, cluster, log, create }
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((given) => {
    resolve = given
  })
  return { promise, resolve }
}

const unavailable = (): Promise<CommitResult> => Promise.reject(new ServingError('STORE_UNAVAILABLE', 'away'))

describe('the writer', () => {
  test('commits what came meanwhile together, and tells each only then', async () => {
    const { create, log } = start((_writes, commit) => ({ kind: 'committed', revision: commit }))
    expect(await Promise.all([create('a'), create('b'), create('c')])).toEqual(['a', 'b', 'c'])
    expect(log).toEqual(['commit a b c', 'changed a b c at 1', 'told a', 'told b', 'told c'])
  })

  test('lets each plan see those before it, in memory or in Redis', async () => {
    const { create } = start((_writes, commit) => ({ kind: 'committed', revision: commit }))
    const results = await Promise.allSettled([create('a'), create('a')])
    expect(results).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'VERSION_CONFLICT' } },
    ])
  })

  test('refuses what it cannot write, forgets it, and reads back before it writes again', async () => {
    const { create, log, cluster } = start((_writes, commit) =>
      commit === 1 ? unavailable() : { kind: 'committed', revision: commit },
    )
    await expect(create('a')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(cluster.model('a')).toBeUndefined()
    await create('a')
    expect(log).toEqual(['commit a', 'resync', 'commit a', 'changed a at 2', 'told a'])
  })

  test('plans again when somebody else wrote', async () => {
    const { create, log } = start((_writes, commit) =>
      commit === 1 ? { kind: 'conflict', key: 'model/a' } : { kind: 'committed', revision: commit },
    )
    expect(await create('a')).toBe('a')
    expect(log).toEqual(['commit a', 'resync', 'commit a', 'changed a at 2', 'told a'])
  })

  test('gives up on a write that conflicts again and again', async () => {
    const { create } = start(() => ({ kind: 'conflict', key: 'model/a' }))
    await expect(create('a')).rejects.toMatchObject({ code: 'VERSION_CONFLICT' })
  })

  test('stops for good when a newer leader exists (I7)', async () => {
    const { create, log } = start(() => ({ kind: 'fenced' }))
    await expect(create('a')).rejects.toMatchObject({ code: 'NOT_LEADER' })
    await expect(create('b')).rejects.toMatchObject({ code: 'NOT_LEADER' })
    expect(log).toEqual(['commit a', 'fenced'])
  })

  test('answers everybody when it stops', async () => {
    const held = deferred<CommitResult>()
    const begun = deferred<undefined>()
    const { create, writer } = start(() => {
      begun.resolve(undefined)
      return held.promise
    })
    const first = create('a')
    await begun.promise
    const second = expect(create('b')).rejects.toMatchObject({ code: 'NOT_LEADER' })
    const stopping = writer.stop()
    held.resolve({ kind: 'committed', revision: 1 })
    await stopping
    expect(await first).toBe('a')
    await second
  })
})
