// Ends a run with one line, `N passed, N failed`, from vitest's JSON summaries. Usage:
//   node scripts/test-counts.mjs <passed steps> <failed steps> <summary.json>...
// A summary that is missing, or a test file that could not be run at all, counts as one failure.
import { existsSync, readFileSync } from 'node:fs'

/** Tests passed and failed according to one summary. */
function countTests(summary) {
  const brokenFiles = summary.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  )
  return { passed: summary.numPassedTests, failed: summary.numFailedTests + brokenFiles.length }
}

const [passedSteps = '0', failedSteps = '0', ...paths] = process.argv.slice(2)
const counts = paths.map((path) =>
  existsSync(path) ? countTests(JSON.parse(readFileSync(path, 'utf8'))) : { passed: 0, failed: 1 },
)
const passed = counts.reduce((sum, count) => sum + count.passed, Number(passedSteps))
const failed = counts.reduce((sum, count) => sum + count.failed, Number(failedSteps))
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
