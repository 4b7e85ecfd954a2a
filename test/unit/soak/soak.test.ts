import { describe, expect, it, test } from 'vitest'
import { after, type Expectation, steadyModels, unexplained } from '../../soak/expectation.ts'
import type { Failure } from '../../soak/play.ts'
import { firstRound, randomRounds, type Round, type Step } from '../../soak/plan.ts'
import { shrink } from '../../soak/shrink.ts'
import type { Outcome } from '../../support/open-loop.ts'

const take = (seed: number, count: number): readonly Round[] => {
  const rounds = randomRounds(seed)
  return Array.from({ length: count }, () => rounds.next().value)
}
const expectationAfter = (...rounds: readonly Round[]): Expectation =>
  rounds.flat().reduce(after, new Map() as Expectation)

describe('the rounds of a seed', () => {
  it('are the same again, and others for another seed', () => {
    expect(take(7, 50)).toEqual(take(7, 50))
    expect(take(8, 50)).not.toEqual(take(7, 50))
  })

  it('disturb every process, and at most one server replica at a time', () => {
    const rounds = take(1, 300)
    const disturbed = rounds.map((round) => round.flatMap((step) => ('process' in step ? [step.process] : [])))
    expect(new Set(disturbed.flat())).toEqual(
      new Set([
        'redis',
        'scheduler',
        'mesh-metrics-0',
        'envoy-0',
        ...['0', '1', '2'].flatMap((index) => [`embedded-${index}`, `agent-embedded-${index}`]),
      ]),
    )
    for (const processes of disturbed) {
      const replicas = new Set(processes.filter((name) => name.includes('embedded')).map((name) => name.at(-1)))
      expect(replicas.size).toBeLessThanOrEqual(1)
    }
  })

  it('refuse to load only what serves already, so that it is known what serves then', () => {
    let before = expectationAfter(firstRound)
    for (const round of take(5, 300)) {
      for (const step of round)
        if (step.kind === 'apply' && step.artifact === 'refused') expect(before.has(step.model)).toBe(true)
      before = round.reduce(after, before)
    }
  })
})

test('steady are the models that are there and stay', () => {
  const round: Round = [{ kind: 'delete', model: 'ada', atMs: 0 }]
  expect(steadyModels(expectationAfter(firstRound), round)).toEqual(['bob', 'cyd', 'dee'])
  expect(steadyModels(expectationAfter(firstRound, round), [])).toEqual(['bob', 'cyd', 'dee'])
})

describe('a failed request', () => {
  const sentFrom = (sentAtMs: number, endedAtMs: number): Outcome => ({
    protocol: 'rest',
    model: 'ada',
    sentAtMs,
    endedAtMs,
    ok: false,
    status: '503',
    servedBy: '',
    detail: '',
  })
  const killed = (process: string) => ({ process, kind: 'kill' as const, fromMs: 1_000, untilMs: 2_000 })

  it.each([
    ['in flight when its server was killed', killed('embedded-0'), sentFrom(900, 1_010), true],
    ['sent long after its server was killed', killed('embedded-0'), sentFrom(1_500, 1_510), false],
    ['answered before the kill', killed('embedded-0'), sentFrom(900, 950), false],
    ['while Envoy was away', killed('envoy-0'), sentFrom(1_500, 1_510), true],
    ['long after Envoy came back', killed('envoy-0'), sentFrom(3_500, 3_510), false],
    ['when the scheduler was killed', killed('scheduler'), sentFrom(1_000, 1_010), false],
    ['when an agent was killed', killed('agent-embedded-0'), sentFrom(1_000, 1_010), false],
    ['while a server was paused', { ...killed('embedded-0'), kind: 'pause' as const }, sentFrom(1_000, 1_100), false],
  ])('%s', (_, disturbance, outcome, explained) => {
    expect(unexplained([outcome], [disturbance])).toEqual(explained ? [] : [outcome])
  })

  it('is in flight until a paused Envoy can read that the server is gone', () => {
    const pause = { process: 'envoy-0', kind: 'pause' as const, fromMs: 900, untilMs: 3_000 }
    const outcomes = [sentFrom(2_900, 3_050), sentFrom(3_500, 3_550)]
    expect(unexplained(outcomes, [pause, killed('embedded-0')])).toEqual(outcomes.slice(1))
  })
})

describe('shrinking', () => {
  const steps: Step[] = [
    { kind: 'kill', process: 'redis', atMs: 0 },
    { kind: 'kill', process: 'scheduler', atMs: 10 },
    { kind: 'delete', model: 'ada', atMs: 20 },
  ]
  const failure: Failure = { round: steps, before: expectationAfter(firstRound), problems: ['bad'], logs: '' }
  const failsWith = (needed: string) => (rounds: Iterable<Round>) =>
    Promise.resolve(
      [...rounds].flat().some((step) => 'process' in step && step.process === needed) ? failure : undefined,
    )

  it('keeps the steps without which nothing goes wrong', async () => {
    const smaller = await shrink(failure, Infinity, failsWith('scheduler'))
    expect(smaller).toEqual({ rounds: [[steps[1]]], problems: ['bad'] })
  })

  it('takes first away the models that were not there', async () => {
    const before = expectationAfter(firstRound, [{ kind: 'delete', model: 'dee', atMs: 0 }])
    const smaller = await shrink({ ...failure, before }, Infinity, failsWith('redis'))
    expect(smaller?.rounds).toEqual([[{ kind: 'delete', model: 'dee', atMs: 0 }], [steps[0]]])
  })

  it('says when the round alone goes well', async () => {
    expect(await shrink(failure, Infinity, failsWith('nothing'))).toBeUndefined()
  })
})
