import { describe, expect, it } from 'vitest'
import type { DocumentChange } from '../../../../scheduler/domain/document-change.ts'
import { createFeed } from '../../../../scheduler/loop/feed.ts'
import { rememberChanges, watchPositions } from '../../../../scheduler/operations/recent-changes.ts'

function scene(limit: number) {
  const feed = createFeed(1)
  let revision = 5
  const recent = rememberChanges(feed, () => revision, limit)
  const commit = (...names: string[]): void => {
    revision += 1
    const changes = names.map((name): DocumentChange => ({ kind: 'server', name, before: undefined, after: undefined }))
    feed.publish(changes)
  }
  return { recent, commit, positions: watchPositions(recent, 'store', () => revision) }
}

describe('recent changes', () => {
  it('are those after a revision, each name once', () => {
    const { recent, commit } = scene(10)
    commit('a')
    commit('b', 'c')
    commit('b')
    expect(recent.since('Server', 5)).toEqual(['a', 'b', 'c'])
    expect(recent.since('Server', 6)).toEqual(['b', 'c'])
    expect(recent.since('Server', 8)).toEqual([])
    expect(recent.since('Model', 5)).toEqual([])
  })

  it('are not known before the start, of the future, or once they were too many', () => {
    const { recent, commit } = scene(2)
    expect(recent.since('Server', 4)).toBeUndefined()
    expect(recent.since('Server', 6)).toBeUndefined()
    for (const name of ['a', 'b', 'c', 'd', 'e']) commit(name)
    expect(recent.since('Server', 7)).toBeUndefined()
    expect(recent.since('Server', 8)).toEqual(['d', 'e'])
  })

  it('forget a commit as a whole', () => {
    const { recent, commit } = scene(2)
    commit('a')
    commit('b', 'c', 'd', 'e')
    expect(recent.since('Server', 6)).toBeUndefined()
    expect(recent.since('Server', 7)).toEqual([])
  })

  it('are asked for by positions of the same store alone', () => {
    const { commit, positions } = scene(10)
    const before = positions.position()
    commit('a')
    expect(positions.changesSince('Server', before)).toEqual(['a'])
    for (const other of ['other/5', 'store/', 'store/x', 'store/-1', '5', ''])
      expect(positions.changesSince('Server', other)).toBeUndefined()
  })
})
