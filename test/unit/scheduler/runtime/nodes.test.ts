import { describe, expect, it } from 'vitest'
import { createNodeReports } from '../../../../scheduler/loop/nodes.ts'

const node = (name: string) => ({
  node: name,
  ackedRevision: 3,
  connectedAtMs: 1,
  silentSinceMs: undefined,
  heldBecause: undefined,
})
const refusal = (key: string, reason: string) => ({ node: 'a', revision: 3, kind: 'route' as const, key, reason })

describe('node reports', () => {
  it('tell what each node refused, each subject once with its last reason', () => {
    const reports = createNodeReports(() => 7)
    reports.note(refusal('iris', 'first'))
    reports.note(refusal('tulip', 'no'))
    reports.note(refusal('iris', 'last'))
    expect([node('a'), node('b')].map((one) => reports.of(one).refusals)).toEqual([
      [
        { atMs: 7, revision: 3, kind: 'route', key: 'tulip', reason: 'no' },
        { atMs: 7, revision: 3, kind: 'route', key: 'iris', reason: 'last' },
      ],
      [],
    ])
  })

  it('are bounded, and go with their node', () => {
    const reports = createNodeReports(() => 7)
    for (let index = 0; index < 60; index += 1) reports.note(refusal(`m${String(index)}`, 'no'))
    const kept = reports.of(node('a'))
    expect(kept.refusals.map(({ key }) => key).slice(0, 1)).toEqual(['m10'])
    expect(kept.refusals).toHaveLength(50)
    reports.keepOnly([node('b')])
    expect(reports.of(node('a')).refusals).toEqual([])
  })
})
