import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { eventually } from '../support/child-processes.ts'
import { runCli, startCli } from '../support/run-cli.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-logs-'))
  mkdirSync(join(folder, 'logs'))
  writeFileSync(path('scheduler'), [ours(1, 30, 'started'), ours(3, 40, 'node is silent'), ''].join('\n'))
  writeFileSync(path('envoy-0'), '[2026-01-02 00:00:02.000][1][info][main] [a.cc:1] starting workers\n')
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const path = (name: string): string => join(folder, 'logs', `${name}.log`)
const ours = (second: number, level: number, msg: string): string =>
  JSON.stringify({ level, time: `2026-01-02T00:00:0${String(second)}.000Z`, component: 'scheduler', msg })
const logs = (...argv: string[]) => runCli(['logs', '--state-dir', folder, ...argv])

it('shows all processes by time', async () => {
  const { code, out } = await logs()
  expect(code).toBe(0)
  expect(out.trim().split('\n')).toEqual([
    '00:00:01.000 INFO  scheduler started',
    '00:00:02.000 INFO  envoy-0   starting workers source=main',
    '00:00:03.000 WARN  scheduler node is silent',
  ])
})

it('shows one process, the last lines, those of a level, or what was written', async () => {
  expect((await logs('envoy')).out).toBe('00:00:02.000 INFO  envoy-0 starting workers source=main\n')
  expect((await logs('--lines', '1')).out).toBe('00:00:03.000 WARN  scheduler node is silent\n')
  expect((await logs('--level', 'warn')).out).toBe('00:00:03.000 WARN  scheduler node is silent\n')
  expect((await logs('scheduler', '-n', '1', '-o', 'json')).out).toBe(`${ours(3, 40, 'node is silent')}\n`)
})

it('follows what is added, and a file that is rotated meanwhile', async () => {
  const { child, done } = startCli(['logs', 'scheduler', '--follow', '-n', '0', '--state-dir', folder])
  let out = ''
  child.stdout?.on('data', (chunk: string) => (out += chunk))
  await eventually(
    'the first line that is added',
    () => {
      appendFileSync(path('scheduler'), `${ours(4, 30, 'added')}\n`) // until it watches
      return out.includes('added')
    },
    20_000,
  )
  expect(out).not.toContain('started')
  copyFileSync(path('scheduler'), `${path('scheduler')}.1`)
  truncateSync(path('scheduler'))
  await eventually(
    'the line after the rotation',
    () => {
      appendFileSync(path('scheduler'), `${ours(5, 30, 'rotated')}\n`)
      return out.includes('rotated')
    },
    20_000,
  )
  child.kill('SIGINT')
  await done
})

it.each([
  ['a process that has none', ['redis'], 5, 'NOT_FOUND'],
  ['a number of lines that is none', ['-n', 'many'], 2, 'CONFIG_INVALID'],
  ['a level that is none', ['--level', 'loud'], 2, 'Allowed choices'],
])('refuses %s', async (_name, argv, code, message) => {
  const result = await logs(...argv)
  expect([result.code, result.out]).toEqual([code, ''])
  expect(result.err).toContain(message)
})

it('says how to start when nothing ran here', async () => {
  const result = await runCli(['logs', '--state-dir', join(folder, 'none')])
  expect(result.code).toBe(5)
  expect(result.err).toContain('npm start')
})
