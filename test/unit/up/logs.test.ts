import { describe, expect, it } from 'vitest'
import { isAtLeast, parseLogLine } from '../../../up/logs/line.ts'
import { byTime, chooseLogs } from '../../../up/logs/log-files.ts'
import { renderLine, toJsonLine } from '../../../up/logs/render.ts'
import { captureTerminal } from '../../support/capture-terminal.ts'

const OURS =
  '{"level":40,"time":"2026-01-02T03:04:05.678Z","component":"scheduler","node":"envoy-0","why":"too late","msg":"node is silent"}'
const ENVOY = '[2026-01-02 03:04:06.001][42][critical][main] [source/server/server.cc:421] no such file'
const REDIS = '42:M 02 Jan 2026 03:04:07.002 # WARNING overcommit_memory is set to 0!'

describe('a log line', () => {
  it('of our own has its fields after the sentence, quoted where they need it', () => {
    const line = parseLogLine('scheduler', OURS, undefined)
    expect(renderLine(line, 11, captureTerminal())).toBe(
      '03:04:05.678 WARN  scheduler   node is silent node=envoy-0 why="too late"',
    )
  })

  it('of Envoy says its time, level and source', () => {
    const line = parseLogLine('envoy-0', ENVOY, undefined)
    expect(renderLine(line, 7, captureTerminal())).toBe('03:04:06.001 ERROR envoy-0 no such file source=main')
  })

  it("of Redis says its level; a '#' is a warning", () => {
    const { atMs, level, message } = parseLogLine('redis', REDIS, undefined)
    expect([level, message]).toEqual(['warn', 'WARNING overcommit_memory is set to 0!'])
    expect(atMs).toBe(Date.parse('02 Jan 2026 03:04:07.002'))
  })

  it('that says nothing of itself continues the one above', () => {
    const above = parseLogLine('scheduler', OURS, undefined)
    const line = parseLogLine('scheduler', '    at main.ts:1', above)
    expect([line.level, line.atMs]).toEqual(['warn', above.atMs])
    expect(renderLine(parseLogLine('redis', 'hello', undefined), 5, captureTerminal())).toBe(
      '--:--:--.--- INFO  redis hello',
    )
  })

  it.each(['{"level":30,', '{"msg":"no level"}', '{'])('%s is text, not JSON of ours', (text) => {
    expect(parseLogLine('agent-embedded-0', text, undefined).message).toBe(text)
  })

  it('is JSON for machines, as it was written or made from its text', () => {
    expect(toJsonLine(parseLogLine('scheduler', OURS, undefined))).toBe(OURS)
    expect(JSON.parse(toJsonLine(parseLogLine('envoy-0', ENVOY, undefined)))).toEqual({
      component: 'envoy-0',
      level: 'error',
      source: 'main',
      msg: 'no such file',
    })
    expect(JSON.parse(toJsonLine(parseLogLine('envoy-0', '{cut}', undefined)))).toMatchObject({ msg: '{cut}' })
  })

  it('passes a level when it is at least as severe', () => {
    const line = parseLogLine('scheduler', OURS, undefined)
    expect(['error', 'warn', 'info', 'debug'].map((level) => isAtLeast(line, level as 'info'))).toEqual([
      false,
      true,
      true,
      true,
    ])
  })
})

it('lines of several processes are in order of time, and those of one moment stay as they were', () => {
  const lines = [
    parseLogLine('redis', REDIS, undefined),
    parseLogLine('a', OURS, undefined),
    parseLogLine('b', OURS, undefined),
  ]
  const late = byTime(lines).map(({ process }) => process)
  expect(late.filter((name) => name !== 'redis')).toEqual(['a', 'b'])
})

describe('a process is named', () => {
  const names = ['agent-embedded-0', 'agent-embedded-1', 'embedded-0', 'scheduler']

  it('by itself, by the beginning that several share, or not at all', () => {
    expect(chooseLogs(names, 'scheduler')).toEqual(['scheduler'])
    expect(chooseLogs(names, 'agent')).toEqual(['agent-embedded-0', 'agent-embedded-1'])
    expect(chooseLogs(names, undefined)).toEqual(names)
  })

  it('wrongly: the nearest name is suggested, else all are listed', () => {
    expect(() => chooseLogs(names, 'schedular')).toThrow(/did you mean scheduler\?/)
    expect(() => chooseLogs(names, 'kafka')).toThrow(/have agent-embedded-0, .*scheduler/)
  })
})
