/** Does the model server answer? Pure: checks in, up or down out. */

export type CheckResult =
  | { readonly kind: 'alive' }
  /** Nobody listens, or the connection broke: certain at once. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** No answer in time, or a bad one: may pass. */
  | { readonly kind: 'failed'; readonly reason: string }

export type Liveness =
  { readonly kind: 'Up'; readonly failures: number } | { readonly kind: 'Down'; readonly reason: string }

/** This many unclear failures in a row are an outage. */
export const MAX_FAILURES = 2

export function nextLiveness(liveness: Liveness, check: CheckResult): Liveness {
  switch (check.kind) {
    case 'alive':
      return { kind: 'Up', failures: 0 }
    case 'refused':
      return { kind: 'Down', reason: check.reason }
    case 'failed': {
      if (liveness.kind === 'Down') return { kind: 'Down', reason: check.reason }
      const failures = liveness.failures + 1
      return failures >= MAX_FAILURES ? { kind: 'Down', reason: check.reason } : { kind: 'Up', failures }
    }
  }
}
