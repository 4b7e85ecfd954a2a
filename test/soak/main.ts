/**
 * `npm run soak -- --seed S --minutes M`: random applies, updates, deletions, kills and pauses of every process, against
 * a model of what must be true (invariants I1 to I6; no request fails but those that a killed process had in flight).
 * When something is wrong it prints the seed and the smallest history found that goes wrong again; exit code 1.
 * `npm run soak -- --pipelines [--requests N] [--brokers 3]`: see pipelines.ts; `-- --streams [--requests N]`: see streams.ts.
 */
import { parseArgs } from 'node:util'
import { toServingError } from '../../kit/errors.ts'
import { setToolPaths } from '../support/tools.ts'
import { type Failure, play } from './play.ts'
import { soakPipelines } from './pipelines.ts'
import { describeStep, randomRounds, type Round } from './plan.ts'
import { shrink } from './shrink.ts'
import { soakStreams } from './streams.ts'

const USAGE = `Usage: npm run soak -- [options]

  --seed S --minutes 10          random changes, kills and pauses of every process; a seed plays the same again
  --pipelines                    pipelines that are called, while gateways and brokers are killed
  --streams                      pipelines of both runners fed through Kafka and called, while every process is killed
  --requests 10000               of --pipelines and --streams
  --brokers 1                    of --pipelines: 1 or 3

Exit code 1: something went wrong, and it says what.`
const MINUTE_MS = 60_000
const SHRINK_MS = 3 * MINUTE_MS

const print = (line: string): void => {
  process.stderr.write(`${line}\n`)
}
const printRound = (round: Round): void => {
  for (const step of round) print(`  ${describeStep(step)}`)
}

async function main(argv: readonly string[]): Promise<boolean> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      minutes: { type: 'string', default: '10' },
      pipelines: { type: 'boolean', default: false },
      streams: { type: 'boolean', default: false },
      requests: { type: 'string', default: '10000' },
      brokers: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    print(USAGE)
    return true
  }
  if (values.pipelines) {
    await setToolPaths()
    return soakPipelines({ requests: Number(values.requests), brokers: Number(values.brokers), print })
  }
  if (values.streams) {
    await setToolPaths()
    return soakStreams({ requests: Number(values.requests), print })
  }
  const seed = Number(values.seed)
  print(`seed ${String(seed)}, ${values.minutes} minutes`)
  await setToolPaths()
  const history: Round[] = []
  let sent = 0
  const failure = await play(
    randomRounds(seed),
    performance.now() + Number(values.minutes) * MINUTE_MS,
    (round, requests) => {
      history.push(round)
      sent += requests
      print(`round ${String(history.length)}: ${round.map(describeStep).join('; ')}; ${String(requests)} requests`)
    },
  )
  if (failure === undefined) {
    print(`seed ${String(seed)}: ${String(history.length)} rounds and ${String(sent)} requests, nothing went wrong`)
    return true
  }
  await report(seed, failure, history.length)
  return false
}

async function report(seed: number, failure: Failure, roundsBefore: number): Promise<void> {
  print(failure.logs)
  print(`seed ${String(seed)}: round ${String(roundsBefore + 1)} went wrong:`)
  for (const problem of failure.problems.slice(0, 20)) print(`  ${problem}`)
  printRound(failure.round)
  print('looking for a smaller history that goes wrong, too')
  const smaller = await shrink(failure, performance.now() + SHRINK_MS)
  if (smaller === undefined) {
    print('the round alone, on a new mesh, went well: play the seed again')
    return
  }
  print(`seed ${String(seed)}: the smallest history found, after all models were loaded:`)
  for (const round of smaller.rounds) printRound(round)
  for (const problem of smaller.problems.slice(0, 20)) print(`  ${problem}`)
}

try {
  if (!(await main(process.argv.slice(2)))) process.exitCode = 1
} catch (error) {
  print(`soak failed: ${toServingError(error).message}; \`npm run soak -- --help\` lists the options`)
  process.exitCode = 1
}
