import { expect, test } from 'vitest'
import { createProgress } from '../../../up/progress.ts'

const collect = (isTTY: boolean, environment: NodeJS.ProcessEnv = {}) => {
  const written: string[] = []
  return { written, progress: createProgress({ write: (text) => written.push(text), isTTY, columns: 40 }, environment) }
}

test('without a terminal a step is one plain line with its seconds', async () => {
  const { written, progress } = collect(false)
  await progress.step('starting', async (note) => {
    note('redis')
  })
  expect(written.join('')).toMatch(/^✓ starting \(\d+\.\d s\)\n$/)
})

test('a failed step says so and passes the error on', async () => {
  const { written, progress } = collect(false)
  await expect(progress.step('starting', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(written.join('')).toMatch(/^✗ starting/)
})

test('colours appear on a terminal unless NO_COLOR is set', async () => {
  const coloured = collect(true)
  await coloured.progress.step('a', () => Promise.resolve())
  expect(coloured.written.join('')).toContain('\u001b[32m')
  const plain = collect(true, { NO_COLOR: '1' })
  await plain.progress.step('a', () => Promise.resolve())
  expect(plain.written.join('')).not.toContain('\u001b[32m')
})

test('a note fits the line of the terminal, or it could not be written over', async () => {
  const { written, progress } = collect(true)
  await progress.step('a', async (note) => {
    note('x'.repeat(200))
  })
  expect(written.find((text) => text.includes('xxx'))?.replace('\r\u001b[2K', '').length).toBeLessThan(40)
})
