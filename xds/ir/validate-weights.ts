import type { IrIssue } from './issue.ts'

const MAX_WEIGHT = 1_000_000

/** Weights are whole numbers, and not all are 0. */
export function weightIssues(weighted: readonly { readonly weight: number }[], path: string): IrIssue[] {
  const wrong = weighted.flatMap(({ weight }, index) =>
    Number.isInteger(weight) && weight >= 0 && weight <= MAX_WEIGHT
      ? []
      : [
          {
            path: `${path}[${String(index)}].weight`,
            message: `${String(weight)} must be a whole number, 0 to ${String(MAX_WEIGHT)}`,
          },
        ],
  )
  if (wrong.length > 0) return wrong
  const sum = weighted.reduce((total, { weight }) => total + weight, 0)
  return weighted.length > 0 && sum === 0 ? [{ path, message: 'at least one weight must be above 0' }] : []
}
