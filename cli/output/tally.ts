/** Who answered how often, when the same request is sent many times. */
import type { ServingError } from '../../kit/errors.ts'
import type { InferAnswer } from '../client/infer-client.ts'

interface Failures {
  readonly count: number
  /** Stands for all that have its code. */
  readonly first: ServingError
}

export interface Tally {
  /** By what answered, as `iris_3`. */
  readonly answers: ReadonlyMap<string, number>
  /** By error code. */
  readonly failures: ReadonlyMap<string, Failures>
  answered(answer: InferAnswer): void
  failed(error: ServingError): void
}

export function createTally(): Tally {
  const answers = new Map<string, number>()
  const failures = new Map<string, Failures>()
  return {
    answers,
    failures,
    answered: (answer) => {
      const name = answeringModel(answer)
      answers.set(name, (answers.get(name) ?? 0) + 1)
    },
    failed: (error) => {
      const before = failures.get(error.code)
      failures.set(error.code, { count: (before?.count ?? 0) + 1, first: before?.first ?? error })
    },
  }
}

const ROUTE_HEADER = 'x-seldon-route'

/** All internal names that the answer's route holds (`:iris_3:`), else the name in the answer itself. */
function answeringModel({ headers, response }: InferAnswer): string {
  const route = (headers[ROUTE_HEADER] ?? '').split(':').filter((part) => part.trim() !== '' && part.trim() !== ',')
  if (route.length > 0) return route.join(' > ')
  const parsed: unknown = JSON.parse(response)
  const named = typeof parsed === 'object' && parsed !== null && 'model_name' in parsed ? parsed.model_name : undefined
  return typeof named === 'string' && named !== '' ? named : 'unnamed'
}

interface TallyRecord {
  readonly answered: Readonly<Record<string, number>>
  readonly failed: Readonly<Record<string, number>>
  readonly elapsedMs: number
}

export const tallyRecord = ({ answers, failures }: Tally, elapsedMs: number): TallyRecord => ({
  answered: Object.fromEntries(mostFirst(answers)),
  failed: Object.fromEntries([...failures].map(([code, { count }]) => [code, count])),
  elapsedMs,
})

/** `60  iris_3`, most often first; then failures by code, each with the first of its messages. */
export function tallyLines({ answers, failures }: Tally, elapsedMs: number): readonly string[] {
  const answered = mostFirst(answers)
  const failed = [...failures.values()]
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)
  const [good, bad] = [sum(answered.map(([, count]) => count)), sum(failed.map(({ count }) => count))]
  const width = String(good + bad).length
  const line = (count: number, text: string): string => `${String(count).padStart(width)}  ${text}`
  const seconds = (elapsedMs / 1_000).toFixed(2)
  return [
    `${String(good + bad)} requests in ${seconds} s: ${String(good)} answered, ${String(bad)} failed`,
    ...answered.map(([name, count]) => line(count, name)),
    ...failed.map(({ count, first }) => line(count, `failed, ${first.code}: ${first.message}`)),
  ]
}

const mostFirst = (counts: ReadonlyMap<string, number>): readonly (readonly [string, number])[] =>
  [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
