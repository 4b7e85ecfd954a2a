import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tryLock, waitForLock } from '../../up/lock.ts'
import { formatIdentity, identityOf } from '../../up/process-identity.ts'
import { openStateFolder } from '../../up/state-folder.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-lock-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const path = () => join(folder, 'up.lock')

test('a state folder that is a file is refused, naming the option', async () => {
  writeFileSync(path(), '')
  await expect(openStateFolder(path(), AbortSignal.timeout(30_000))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(`--state-dir: ${path()} is no folder`) as string,
  })
})

test('a second one is refused, naming the process that has the lock', async () => {
  const first = await openStateFolder(folder, AbortSignal.timeout(30_000))
  await expect(openStateFolder(folder, AbortSignal.timeout(30_000))).rejects.toMatchObject({
    code: 'ALREADY_RUNNING',
    message: expect.stringContaining(`process ${String(process.pid)}`) as string,
  })
  first.release()
  const second = await openStateFolder(folder, AbortSignal.timeout(30_000))
  second.release()
})

test('the lock of a process that is gone is taken over', () => {
  const { pid } = spawnSync(process.execPath, ['-e', ''])
  writeFileSync(path(), `${String(pid)} 1\n`)
  expect(tryLock(path()).kind).toBe('held')
})

test('the lock of a pid that is another process by now is taken over', () => {
  writeFileSync(path(), `${String(process.pid)} 1\n`)
  expect(tryLock(path()).kind).toBe('held')
})

test('whoever waits gets the lock when its holder dies', async () => {
  const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  try {
    const identity = identityOf(holder.pid ?? 0)
    if (identity === undefined) throw new Error('the holder does not run')
    writeFileSync(path(), formatIdentity(identity))
    const seen: (number | undefined)[] = []
    const lock = await waitForLock(path(), {
      deadlineMs: 10_000,
      signal: AbortSignal.timeout(20_000),
      onWait: (pid) => {
        seen.push(pid)
        holder.kill('SIGKILL')
      },
    })
    expect(seen[0]).toBe(holder.pid)
    lock.release()
  } finally {
    holder.kill('SIGKILL')
  }
})

test('waiting ends at its deadline', async () => {
  const lock = tryLock(path())
  await expect(
    waitForLock(path(), { deadlineMs: 200, signal: AbortSignal.timeout(30_000), onWait: () => undefined }),
  ).rejects.toMatchObject({ code: 'ALREADY_RUNNING' })
  if (lock.kind === 'held') lock.release()
})
