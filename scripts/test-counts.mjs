// Ends a run with the names of the failed tests and one line, `N passed, N failed`, from vitest's JSON summaries. Usage:
//   node scripts/test-counts.mjs <passed steps> <failed steps> <summary.json>...
// A summary that is missing, or a test file that could not be run at all, counts as one failure.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

/** Tests passed and failed according to one summary, and the failed ones' names. */
function countTests(summary) {
  const files = summary.testResults.filter((file) => file.status === 'failed')
  const broken = files.filter((file) => file.assertionResults.length === 0)
  const names = files.flatMap((file) =>
    file.assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${relative('.', file.name)} > ${test.fullName}`),
  )
  return {
    passed: summary.numPassedTests,
    failed: summary.numFailedTests + broken.length,
    names: [...names, ...broken.map((file) => `${relative('.', file.name)}: ${file.message}`)],
  }
}

const [passedSteps = '0', failedSteps = '0', ...paths] = process.argv.slice(2)
const counts = paths.map((path) =>
  existsSync(path)
    ? countTests(JSON.parse(readFileSync(path, 'utf8')))
    : { passed: 0, failed: 1, names: [`${path}: no summary was written`] },
)
const passed = counts.reduce((sum, count) => sum + count.passed, Number(passedSteps))
const failed = counts.reduce((sum, count) => sum + count.failed, Number(failedSteps))
for (const { names } of counts) for (const name of names) console.log(`failed: ${name}`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
