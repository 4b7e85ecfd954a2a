/** What a check found, and how findings are printed. Pure. */
import type { Column } from '../../cli/output/table.ts'
import type { Colour, Terminal } from '../../cli/terminal.ts'

/** `skipped`: there is nothing to look at, because it does not run. */
export type FindingState = 'ok' | 'warning' | 'wrong' | 'skipped'

export interface Finding {
  readonly check: string
  readonly state: FindingState
  readonly found: string
  /** What to do; of a warning or of something wrong. */
  readonly fix?: string
}

export const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found })
export const skipped = (check: string, found: string): Finding => ({ check, state: 'skipped', found })
export const warning = (check: string, found: string, fix: string): Finding => ({ check, state: 'warning', found, fix })
export const wrong = (check: string, found: string, fix: string): Finding => ({ check, state: 'wrong', found, fix })

const COLOURS: Readonly<Record<FindingState, Colour>> = { ok: 'green', warning: 'yellow', wrong: 'red', skipped: 'dim' }

export const findingColumns = (terminal: Pick<Terminal, 'paint'>): readonly Column<Finding>[] => [
  {
    title: 'STATE',
    cell: ({ state }) => state,
    paint: (text, { state }) => terminal.paint(COLOURS[state], text),
  },
  { title: 'CHECK', cell: ({ check }) => check },
  { title: 'FOUND', cell: ({ found, fix }) => (fix === undefined ? found : `${found}; ${fix}`) },
]

/** `all is well`, or how many things are not. */
export function verdictOf(findings: readonly Finding[]): string {
  const count = (state: FindingState): number => findings.filter((finding) => finding.state === state).length
  const [bad, doubtful] = [count('wrong'), count('warning')]
  if (bad === 0 && doubtful === 0) return 'nothing is wrong'
  return `${String(bad)} wrong, ${String(doubtful)} to look at`
}
