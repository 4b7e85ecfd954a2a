/** The mesh of test/support/mesh.ts for files of vitest, and what they print when a test fails. */
import { afterEach } from 'vitest'
import type { TestMesh } from './mesh.ts'

export { startMesh, type TestMesh } from './mesh.ts'

/** Prints every child's last log lines after each test of the file that failed. Call it once, at the top level. */
export function printLogsOfFailedTests(current: () => TestMesh | undefined): void {
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(current()?.logTails() ?? 'no mesh was started')
  })
}
