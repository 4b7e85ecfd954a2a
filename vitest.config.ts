import { defineConfig } from 'vitest/config'

/** What is waited for comes in milliseconds, or in seconds where a machine has much else to do: a deadline is no figure. */
const expect = { poll: { timeout: 30_000 } }

/** unit and golden need nothing but Node; integration needs Redis, two files at a time; e2e needs Envoy too, one at a time. */
export default defineConfig({
  test: {
    reporters: ['default'],
    maxWorkers: 2, // most tests wait for processes
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000, expect } },
      {
        test: {
          name: 'golden',
          include: ['test/golden/**/*.test.ts'],
          globalSetup: ['test/support/tools-setup.ts'],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/tools-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/support/tools-setup.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 1 }, // alone: its loads are timed
          testTimeout: 180_000,
          hookTimeout: 120_000,
          expect,
        },
      },
    ],
  },
})
